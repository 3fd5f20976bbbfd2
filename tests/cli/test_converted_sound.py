"""Sound that a container cannot hold, or that its players do not play, is converted with a warning."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import ffprobe
from tests.helpers.runs import edited, report_of
from vidinv.bench.synthetic_clip import make_clip

RATE = 48000


def with_sound(folder: Path, name: str, *coding: object, channels: str = "stereo") -> Path:
    """A second of pictures with a tone that starts after 0.3 s, coded by the ffmpeg options `coding`."""
    clip = make_clip(folder / "film.mp4", frames=25, audio=False)
    tone = f"sine=440:sample_rate={RATE}:duration=1,volume='gt(t,0.3)':eval=frame,aformat=channel_layouts={channels}"
    made = folder / name
    ffprobe.ffmpeg("-i", clip, "-f", "lavfi", "-i", tone, "-map", "0", "-map", "1", "-metadata:s:a:0", "language=fra",
                   *coding, made)  # fmt: skip
    return made


def heard(path: Path) -> np.ndarray:
    """The first channel as ffmpeg plays it from time 0, 16 bits at 48 kHz."""
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-copyts",
        "-i",
        str(path),
        "-map",
        "0:a",
        "-af",
        f"aresample={RATE}:async=1:first_pts=0",
    ]
    command += ["-f", "s16le", "-c:a", "pcm_s16le", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.int16).reshape(-1, ffprobe_channels(path))[:, 0].astype(float)


def ffprobe_channels(path: Path) -> int:
    return int(sound(path)["channels"])


def sound(path: Path) -> dict[str, object]:
    return next(s for s in ffprobe.streams(path) if s["codec_type"] == "audio")


def begins(path: Path) -> float:
    """When the tone starts, in seconds from the first picture."""
    loud = np.abs(heard(path)) > 400
    return float(loud.argmax()) / RATE - ffprobe.frame_times(path)[0]


@pytest.mark.parametrize(
    "name,coding,output,codec",
    [
        ("in.mp4", ["-c:v", "copy", "-c:a", "aac"], "out.webm", "opus"),
        ("in.mkv", ["-c:v", "copy", "-c:a", "ac3"], "out.webm", "opus"),
        ("in.mov", ["-c:v", "copy", "-c:a", "pcm_s16le"], "out.webm", "opus"),
        ("in.wmv", ["-c:v", "wmv2", "-c:a", "wmav2"], "out.mkv", "flac"),
        ("in.wmv", ["-c:v", "wmv2", "-c:a", "wmav2"], "out.mp4", "aac"),
        ("in.mkv", ["-c:v", "copy", "-c:a", "libopus"], "out.mov", "aac"),
    ],
)
def test_sound_that_the_container_cannot_hold_is_converted(
    tmp_path: Path, name: str, coding: list[object], output: str, codec: str
) -> None:
    source = with_sound(tmp_path, name, *coding)
    made = edited(source, tmp_path / output)
    assert sound(made)["codec_name"] == codec
    assert begins(made) == pytest.approx(begins(source), abs=0.004)
    old, new = heard(source), heard(made)
    assert np.abs(new).mean() == pytest.approx(np.abs(old).mean(), rel=0.1) and abs(len(new) - len(old)) < 0.06 * RATE
    (said,) = [line for line in report_of(made)["warnings"] if "converted to" in line]
    assert f".{output[4:]}" in said and "audio stream #1" in said
    if not name.endswith(".wmv"):
        assert sound(made)["tags"]["language"] == "fra"  # type: ignore[index]


@pytest.mark.parametrize("depth,codec", [("pcm_s16le", "s16p"), ("pcm_s24le", "s32p"), ("pcm_s16be", "s16p")])
def test_pcm_into_mp4_becomes_alac_of_the_same_samples(tmp_path: Path, depth: str, codec: str) -> None:
    source = with_sound(tmp_path, "in.mov", "-c:v", "copy", "-c:a", depth)
    made = edited(source, tmp_path / "out.mp4")
    assert (sound(made)["codec_name"], sound(made)["sample_fmt"]) == ("alac", codec)
    assert np.array_equal(heard(made), heard(source))
    assert any("few players of .mp4 play audio stream #1" in line for line in report_of(made)["warnings"])


@pytest.mark.parametrize("channels", ["mono", "5.1"])
def test_the_channels_are_kept(tmp_path: Path, channels: str) -> None:
    source = with_sound(tmp_path, "in.mkv", "-c:v", "copy", "-c:a", "aac", channels=channels)
    assert sound(edited(source, tmp_path / "out.webm"))["channels"] == sound(source)["channels"]


def test_sound_that_the_container_holds_is_copied(tmp_path: Path) -> None:
    for name, coding, output in (("a.mov", "pcm_s24le", "a.out.mov"), ("b.mkv", "flac", "b.out.mp4")):
        source = with_sound(tmp_path, name, "-c:v", "copy", "-c:a", coding)
        made = edited(source, tmp_path / output)
        assert [h for _, _, h in ffprobe.packets(made, "a:0")] == [h for _, _, h in ffprobe.packets(source, "a:0")]
        assert not any("converted" in line for line in report_of(made)["warnings"])
