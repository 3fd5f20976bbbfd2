"""Read, write, assemble: times, depth, tags, rotation and the other streams come out as they went in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from vidinv.bench.synthetic_clip import make_clip
from vidinv.errors import InputUnreadable, OutputUnwritable, UsageError
from vidinv.media.codecs import EncoderOptions, check_container
from vidinv.media.colour import to_rgb
from vidinv.media.probe import probe
from vidinv.media.reader import read_frames
from vidinv.media.remux import assemble
from vidinv.media.writer import SegmentWriter


def through(source: Path, output: Path, codec: str = "auto", every: int = 10) -> list[str]:
    """The whole way in segments of `every` frames."""
    info, segments = probe(source), []
    for batch in read_frames(source, batch=every):
        segments.append(output.parent / f"{batch.index[0]}.segment")
        with SegmentWriter(segments[-1], info, EncoderOptions(codec), suffix=output.suffix) as writer:
            for planes, pts in zip(batch.native, batch.pts, strict=True):
                writer.write(planes, pts)
    return assemble(segments, source, output, metadata={"vidinv_edits": "smile+1"})


def ffprobe_pts(path: Path) -> list[str]:
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe, the witness, is not installed")
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "frame=pts_time", "-of", "json"]
    shown: dict[str, Any] = json.loads(subprocess.run([*command, str(path)], capture_output=True, check=True).stdout)
    return [frame["pts_time"] for frame in shown["frames"]]


def audio_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.dts is not None]


@pytest.mark.parametrize("codec,suffix", [("auto", ".mp4"), ("lossless", ".mp4"), ("auto", ".mkv")])
def test_variable_frame_rate_keeps_every_timestamp(tmp_path: Path, codec: str, suffix: str) -> None:
    source = make_clip(tmp_path / f"in{suffix}", durations_ms=[33, 33, 84, 33, 120] * 6)
    through(source, tmp_path / f"out{suffix}", codec)
    assert ffprobe_pts(tmp_path / f"out{suffix}") == ffprobe_pts(source)


def test_audio_chapters_and_metadata_are_kept(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", chapters=True)
    assert through(source, tmp_path / "out.mp4") == []
    assert audio_packets(tmp_path / "out.mp4") == audio_packets(source)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.metadata["title"] == "a made clip" and container.metadata["vidinv_edits"] == "smile+1"
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["one"]


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_is_kept(tmp_path: Path, rotation: int) -> None:
    source = make_clip(tmp_path / "in.mp4", rotation=rotation)
    through(source, tmp_path / "out.mp4")
    assert probe(source).rotation == rotation == probe(tmp_path / "out.mp4").rotation


@pytest.mark.parametrize("colour", ["bt709", "bt601", "bt2020"])
@pytest.mark.parametrize("full_range", [False, True])
def test_colour_tags_and_ten_bits_are_kept(tmp_path: Path, colour: str, full_range: bool) -> None:
    source = make_clip(
        tmp_path / "in.mp4", pix_fmt="yuv420p10le", codec="libx265", colour=colour, full_range=full_range, frames=6
    )
    through(source, tmp_path / "out.mp4")
    before, after = probe(source), probe(tmp_path / "out.mp4")
    assert after.colour == before.colour and after.colour.matrix == colour and after.depth == 10


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "gray"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_lossless_is_bit_exact_plane_by_plane(tmp_path: Path, pix_fmt: str, suffix: str) -> None:
    source = make_clip(tmp_path / "in.mp4", size=(90, 62), pix_fmt=pix_fmt, frames=12)
    through(source, tmp_path / f"out{suffix}", "lossless", every=5)
    pairs = zip(read_frames(source, batch=1), read_frames(tmp_path / f"out{suffix}", batch=1), strict=True)
    for before, after in pairs:
        for old, new in zip(before.native[0].planes, after.native[0].planes, strict=True):
            assert np.array_equal(old, new)


def test_reading_from_a_frame_keeps_index_and_pts(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4")
    whole = [pair for batch in read_frames(source) for pair in zip(batch.index, batch.pts, strict=True)]
    rest = [
        pair for batch in read_frames(source, first=13, batch=4) for pair in zip(batch.index, batch.pts, strict=True)
    ]
    assert len(whole) == 24 and rest == whole[13:]


def test_missing_empty_and_text_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("not a video\n" * 50)
    (tmp_path / "empty.mp4").touch()
    for name in ("text.mp4", "empty.mp4", "missing.mp4"):
        with pytest.raises(InputUnreadable, match=name):
            probe(tmp_path / name)


def test_a_truncated_file_yields_its_good_frames_first(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=120, audio=False)
    options = {"movflags": "faststart"}
    with av.open(str(clip)) as container, av.open(str(tmp_path / "fast.mp4"), "w", container_options=options) as fast:
        stream = fast.add_stream_from_template(container.streams.video[0])
        for packet in container.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                fast.mux(packet)
    data = (tmp_path / "fast.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 6 // 10])
    seen = 0
    with pytest.raises(InputUnreadable, match="good frames"):
        for batch in read_frames(tmp_path / "cut.mp4"):
            seen += len(batch)
    assert seen > 20


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tiff"])
def test_a_picture_is_a_clip_of_one_frame(tmp_path: Path, suffix: str) -> None:
    assert cv2.imwrite(str(tmp_path / f"in{suffix}"), np.full((32, 48, 3), 90, np.uint8))
    (batch,) = read_frames(tmp_path / f"in{suffix}")
    assert len(batch) == 1 and abs(to_rgb(batch.native[0], batch.colour) * 255 - 90).max() < 4


def test_a_full_disk_and_a_missing_folder_are_named(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=3)
    with pytest.raises(OutputUnwritable):
        SegmentWriter(tmp_path / "none" / "a.segment", probe(source))
    with pytest.raises(OutputUnwritable):
        assemble([], source, tmp_path / "none" / "out.mp4", metadata={})


def test_a_container_that_cannot_hold_the_codec_is_refused_with_a_name(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=3)
    with pytest.raises(UsageError, match=r"name the output .*\.mp4"):
        check_container(EncoderOptions("lossless"), probe(source), tmp_path / "out.webm")
    with pytest.raises(UsageError):
        through(source, tmp_path / "out.webm", "h264")
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".webm"]


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="this system has no scheduling policies to look at")
def test_an_av1_encoder_leaves_no_thread_with_real_time_scheduling(tmp_path: Path) -> None:
    """SVT-AV1 raises itself and its caller to real time where root runs it."""
    source = make_clip(tmp_path / "in.mp4", frames=3)
    with SegmentWriter(tmp_path / "out.mkv", probe(source), EncoderOptions("av1"), suffix=".mkv") as writer:
        for batch in read_frames(source, batch=1):
            writer.write(batch.native[0], batch.pts[0])
            policies = {os.sched_getscheduler(int(entry.name)) for entry in Path("/proc/self/task").iterdir()}
            assert not policies & {os.SCHED_FIFO, os.SCHED_RR}
