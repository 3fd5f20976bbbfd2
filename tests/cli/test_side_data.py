"""Captions, stereo layouts and other data beside the samples: kept, or named in a warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import ffprobe
from tests.helpers.runs import edited, report_of
from vidinv.bench.synthetic_clip import make_clip

CAPTION = bytes([0xB5, 0, 0x31]) + b"GA94" + bytes([3, 0xC2, 0xFF, 0xFC, 0x94, 0x20, 0xFD, 0x80, 0x80, 0xFF])


def captioned(folder: Path, name: str) -> Path:
    """H.264 with an A/53 caption in the SEI of every picture."""
    clip = make_clip(folder / "plain.mp4", frames=6, audio=False, bframes=0)
    ffprobe.ffmpeg("-i", clip, "-c", "copy", "-bsf:v", "h264_mp4toannexb", folder / "plain.h264")
    units, out = (folder / "plain.h264").read_bytes().split(b"\0\0\1"), bytearray()
    for number, unit in enumerate(units):
        if number and unit[0] & 31 in (1, 5) and unit[1] & 0x80:
            out += b"\0\0\1\x06" + bytes([4, len(CAPTION)]) + CAPTION + b"\x80"
        out += b"\0\0\1" * bool(number) + unit
    (folder / "captions.h264").write_bytes(out)
    ffprobe.ffmpeg("-r", 25, "-i", folder / "captions.h264", "-c", "copy", folder / name)
    return folder / name


def captions(path: Path) -> int:
    shown = ffprobe.probe(path, "-select_streams", "v:0", "-show_frames")["frames"]
    kinds = [[each["side_data_type"] for each in frame.get("side_data_list", [])] for frame in shown]
    return sum("ATSC A53 Part 4 Closed Captions" in kind for kind in kinds)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_closed_captions_are_kept_on_every_frame(tmp_path: Path, suffix: str) -> None:
    source = captioned(tmp_path, f"in{suffix}")
    output = edited(source, tmp_path / f"out{suffix}")
    assert captions(output) == captions(source) >= 5
    assert not any("caption" in line for line in report_of(output)["warnings"])


@pytest.mark.parametrize("codec,suffix", [("vp9", ".webm"), ("hevc", ".mp4"), ("lossless", ".mkv")])
def test_captions_that_a_codec_loses_are_named(tmp_path: Path, codec: str, suffix: str) -> None:
    output = edited(captioned(tmp_path, "in.mp4"), tmp_path / f"out{suffix}", "--codec", codec)
    assert captions(output) == 0
    assert [line for line in report_of(output)["warnings"] if "does not keep the source's closed captions" in line]


def test_a_stereo_layout_is_kept_or_named(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "plain.mp4", frames=4, audio=False)
    source = tmp_path / "in.mkv"
    ffprobe.ffmpeg("-i", clip, "-c", "copy", "-metadata:s:v", "stereo_mode=left_right", source)
    kept = edited(source, tmp_path / "out.mkv")
    assert ffprobe.video(kept)["side_data_list"] == ffprobe.video(source)["side_data_list"]
    assert not any("stereo" in line for line in report_of(kept)["warnings"])
    lost = edited(source, tmp_path / "out.mp4")
    assert any("does not keep the source's stereo layout" in line for line in report_of(lost)["warnings"])


@pytest.mark.parametrize("tag", ["mebx", "camm", "fdsc"])
def test_a_data_track_without_a_writer_is_left_out_with_a_warning(tmp_path: Path, tag: str) -> None:
    clip, source = make_clip(tmp_path / "plain.mp4", frames=4), tmp_path / "in.mov"
    ffprobe.ffmpeg("-i", clip, "-c", "copy", "-timecode", "00:00:01:00", source)
    data = bytearray(source.read_bytes())
    for at in [i for i in range(len(data)) if data[i : i + 4] == b"tmcd"]:
        if b"stsd" in data[at - 20 : at]:
            data[at : at + 4] = tag.encode()
        elif data[at - 4 : at] == b"mhlr":
            data[at : at + 4] = b"meta"
    source.write_bytes(data)
    assert [s["codec_tag_string"] for s in ffprobe.streams(source) if s["codec_type"] == "data"] == [tag]
    output = edited(source, tmp_path / "out.mov")
    assert [s["codec_type"] for s in ffprobe.streams(output)] == ["video", "audio"]
    assert any("cannot hold data stream #2" in line for line in report_of(output)["warnings"])
