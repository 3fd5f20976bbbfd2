"""What Debian's ffprobe and ffmpeg say of a file: the second opinion of the media tests, which skip without it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray


def _tool(name: str) -> str:
    if shutil.which(name) is None:
        pytest.skip(f"{name}, the witness, is not installed")
    return name


def probe(path: Path, *options: str) -> dict[str, Any]:
    """ffprobe's JSON."""
    command = [_tool("ffprobe"), "-v", "error", *options, "-of", "json", f"file:{path}"]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def streams(path: Path) -> list[dict[str, Any]]:
    return probe(path, "-show_streams")["streams"]


def video(path: Path) -> dict[str, Any]:
    """The first stream of moving pictures."""
    return next(s for s in streams(path) if s["codec_type"] == "video" and not s["disposition"]["attached_pic"])


def container(path: Path) -> dict[str, Any]:
    return probe(path, "-show_format")["format"]


def packets(path: Path, which: str) -> list[tuple[float, float, str]]:
    """(pts, duration, hash) in seconds of the stream `which` ("v:0", "a:1", ...)."""
    shown = probe(path, "-select_streams", which, "-show_packets", "-show_data_hash", "MD5")["packets"]
    return [(float(p.get("pts_time", "nan")), float(p.get("duration_time", 0)), p["data_hash"]) for p in shown]


def frame_times(path: Path) -> list[float]:
    """pts in seconds of every frame shown."""
    shown = probe(path, "-select_streams", "v:0", "-show_entries", "frame=pts_time")["frames"]
    return [float(frame["pts_time"]) for frame in shown]


def first_frame(path: Path) -> dict[str, Any]:
    """ffprobe's facts of the first frame, side data included."""
    return probe(path, "-select_streams", "v:0", "-show_frames", "-read_intervals", "%+#1")["frames"][0]


def samples(path: Path, pix_fmt: str) -> NDArray[Any]:
    """Every sample of the video in its own format `pix_fmt`, as ffmpeg decodes it, not turned: [frames, bytes]."""
    command = [_tool("ffmpeg"), "-v", "error", "-noautorotate", "-i", f"file:{path}", "-map", "0:v:0"]
    command += ["-fps_mode", "passthrough", "-pix_fmt", pix_fmt, "-f", "rawvideo", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(len(frame_times(path)), -1)


def ffmpeg(*arguments: object) -> None:
    """Run ffmpeg to make a clip; skip, with its words, where this one cannot."""
    command = [_tool("ffmpeg"), "-v", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        pytest.skip(f"ffmpeg cannot make this clip: {done.stderr.strip().splitlines()[-1]}")
