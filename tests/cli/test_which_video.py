"""Files of several video streams: which one is edited, --stream, and the copied ones, which decode as before."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import ffprobe
from tests.helpers.runs import TINY, edited, report_of
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main
from vidinv.media.probe import probe


def film_and(folder: Path, name: str, *second: object, frames: int = 8) -> Path:
    """The clip with sound, and a second, smaller video made by the ffmpeg options `second`."""
    clip = make_clip(folder / "film.mp4", frames=frames)
    other = ["-f", "lavfi", "-t", frames / 25, "-i", "testsrc=size=80x48:rate=25"]
    made = folder / name
    ffprobe.ffmpeg("-i", clip, *other, "-map", "0", "-map", "1:v", "-c", "copy", "-c:v:1", *second, made)
    return made


def decoded(path: Path, which: str) -> list[str]:
    """The hash of every frame of a stream, as ffmpeg decodes it."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-map", f"0:{which}", "-f", "framemd5", "-"]
    lines = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    return [line.split(",")[-1].strip() for line in lines if not line.startswith("#")]


def thumbnail_first(folder: Path, name: str) -> Path:
    """The clip with sound behind a small picture that is not marked as a cover."""
    clip, picture, made = make_clip(folder / "film.mp4", frames=8, bframes=0), folder / "small.jpg", folder / name
    ffprobe.ffmpeg("-f", "lavfi", "-i", "testsrc=size=80x48", "-frames:v", 1, picture)
    ffprobe.ffmpeg("-i", picture, "-i", clip, "-map", "0", "-map", "1", "-c", "copy", made)
    return made


def shape(stream: dict[str, Any]) -> tuple[str, int, str]:
    return stream["codec_name"], stream["width"], stream["nb_read_packets"]


@pytest.mark.parametrize("name", ["in.mkv", "in.mp4", "in.avi"])
def test_a_thumbnail_before_the_film_is_not_taken_for_it(tmp_path: Path, name: str) -> None:
    source = thumbnail_first(tmp_path, name)
    output = edited(source, tmp_path / "out.mkv")
    shown = ffprobe.probe(output, "-show_streams", "-count_packets")["streams"]
    assert [shape(s) for s in shown if s["codec_type"] == "video"] == [("mjpeg", 80, "1"), ("h264", 96, "8")]
    assert decoded(output, "v:0") == decoded(source, "v:0")
    assert decoded(output, "v:1") != decoded(source, "v:1")  # the film is edited
    (said,) = [line for line in report_of(output)["warnings"] if "several video streams" in line]
    assert "#1 is edited" in said and "#0 (mjpeg, 80x48)" in said and "--stream" in said


def test_the_default_flag_counts_before_size_and_size_before_order(tmp_path: Path) -> None:
    small, large = "scale=96:72", "scale=192:144"
    for flags, chosen in (((0, 0), 1), (("default", 0), 0), ((0, "default"), 1)):
        source = tmp_path / f"{flags[0]}{flags[1]}.mkv"
        disposition = ["-disposition:v:0", flags[0], "-disposition:v:1", flags[1]]
        graph = f"testsrc=rate=25:duration=0.4,split[a][b];[a]{small}[s];[b]{large}[l]"
        ffprobe.ffmpeg("-filter_complex", graph, "-map", "[s]", "-map", "[l]", *disposition, source)
        assert probe(source).stream == chosen


def test_an_option_names_the_stream(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = film_and(tmp_path, "in.mkv", "libx264", "-pix_fmt", "yuv420p")
    output = edited(source, tmp_path / "out.mkv", "--stream", 2)
    assert decoded(output, "v:0") == decoded(source, "v:0")
    assert report_of(output)["input"]["width"] == 80
    assert not any("several video streams" in line for line in report_of(output)["warnings"])
    capsys.readouterr()
    assert main(["run", str(source), "--edit", "age+2", "-o", str(tmp_path / "b.mkv"), *TINY, "--stream", "1"]) == 2
    said = capsys.readouterr().err
    assert "--stream 1 is not a video stream" in said and "#0 (h264, 96x64)" in said and "#2 (h264, 80x48)" in said


@pytest.mark.parametrize(
    "name,second",
    [
        ("in.mkv", ["libx264", "-pix_fmt", "yuv420p"]),
        ("in.mkv", ["mpeg2video", "-bf", 2]),
        ("in.ts", ["libx264", "-pix_fmt", "yuv420p"]),
        ("in.avi", ["mpeg4", "-bf", 2]),
    ],
)
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_copied_video_decodes_to_the_same_frames(
    tmp_path: Path, name: str, second: list[object], suffix: str
) -> None:
    source = film_and(tmp_path, name, *second)
    before = decoded(source, "v:1")
    assert len(before) >= 8
    assert decoded(edited(source, tmp_path / f"out{suffix}"), "v:1") == before


def test_a_copied_video_of_two_frames_without_decoding_times_is_kept(tmp_path: Path) -> None:
    source = film_and(tmp_path, "in.mkv", "libx264", "-pix_fmt", "yuv420p", frames=2)
    assert decoded(edited(source, tmp_path / "out.mp4"), "v:1") == decoded(source, "v:1")


def test_no_face_says_that_another_video_stream_exists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip, source = make_clip(tmp_path / "face.mp4", frames=4), tmp_path / "in.mkv"
    black = ["-f", "lavfi", "-t", 0.16, "-i", "color=black:size=128x96:rate=25"]
    flags = ["-disposition:v:0", "default", "-disposition:v:1", 0]
    ffprobe.ffmpeg(*black, "-i", clip, "-map", "0", "-map", "1", "-c:a", "copy", "-pix_fmt", "yuv420p", *flags, source)
    command = ["run", str(source), "--edit", "age+2", "-o", str(tmp_path / "out.mkv"), *TINY]
    assert main(command) == 4
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "video stream #0" in said and "--stream N" in said and "#1 (h264, 96x64)" in said
    assert main([*command, "--stream", "1"]) == 0
