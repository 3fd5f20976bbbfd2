"""Everything beside the picture: streams packet by packet, chapters, metadata, or a warning that names what is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest

from tests.helpers import ffprobe
from tests.helpers.runs import edited, report_of
from vidinv.bench.synthetic_clip import make_clip

KINDS = ("audio", "subtitle")
SRT = "1\n00:00:00,100 --> 00:00:00,400\nGrüße\n\n2\n00:00:00,500 --> 00:00:00,900\nand farewell\n"


def rich(folder: Path, name: str) -> Path:
    """A clip with two sounds, subtitles, chapters, a title, and in Matroska a font, in mp4 and mov a cover picture."""
    clip = make_clip(folder / "plain.mkv", frames=25, chapters=True)
    other = make_clip(folder / "other.mkv", frames=25)
    words, font, cover = folder / "words.srt", folder / "font.ttf", folder / "cover.png"
    words.write_text(SRT, encoding="utf-8")
    font.write_bytes(bytes(range(256)) * 8)
    av.VideoFrame(32, 32, "rgb24").save(str(cover))
    isobmff = name.endswith((".mp4", ".mov"))
    command = ["-i", clip, "-i", other, "-i", words]
    command += ["-i", cover] if name.endswith(".mp4") else []
    command += ["-map", "0:v", "-map", "0:a", "-map", "1:a", "-map", "2:s", "-map_chapters", "0"]
    command += ["-map", "3:v", "-disposition:v:1", "attached_pic"] if name.endswith(".mp4") else []
    command += ["-c", "copy", "-c:s", "mov_text" if isobmff else "subrip"]
    if name.endswith(".mkv"):
        command += ["-attach", font, "-metadata:s:t", "mimetype=application/x-truetype-font"]
    command += ["-metadata", "title=a day", "-metadata:s:a:0", "language=deu", "-metadata:s:a:1", "language=fra"]
    command += ["-metadata:s:s:0", "language=spa", "-disposition:a:1", "default", "-disposition:a:0", "0"]
    command += ["-disposition:s:0", "forced", *(["-timecode", "01:00:00:00"] if name.endswith(".mov") else [])]
    source = folder / name
    ffprobe.ffmpeg(*command, source)
    return source


def told(path: Path) -> list[Any]:
    """What ffprobe says of every stream but the edited one's coding."""
    keys = ("codec_type", "codec_name", "codec_tag_string", "channels", "sample_rate")
    found = []
    for stream in ffprobe.streams(path):
        is_edited = stream["codec_type"] == "video" and not stream["disposition"]["attached_pic"]
        facts = [None if is_edited else stream.get(key) for key in keys]
        tags = {key.lower(): value for key, value in stream.get("tags", {}).items()}
        wanted = {key: tags.get(key) for key in ("language", "filename", "mimetype", "timecode")}
        found.append([*facts, stream["disposition"], wanted])
    return found


def contents(path: Path) -> list[list[tuple[float, float, str]]]:
    count = [stream["codec_type"] for stream in ffprobe.streams(path)]
    return [ffprobe.packets(path, f"{kind[0]}:{n}") for kind in KINDS for n in range(count.count(kind))]


def chapters(path: Path) -> list[tuple[str, str, str]]:
    shown = ffprobe.probe(path, "-show_chapters")["chapters"]
    return [(each["start_time"], each["end_time"], each["tags"]["title"]) for each in shown]


@pytest.mark.parametrize("name", ["in.mkv", "in.mp4", "in.mov"])
def test_every_other_stream_is_copied_packet_by_packet(tmp_path: Path, name: str) -> None:
    source = rich(tmp_path, name)
    output = edited(source, tmp_path / f"out{source.suffix}")
    assert report_of(output)["warnings"] == []
    assert told(output) == told(source)
    assert contents(output) == contents(source) and len(contents(source)) == 3
    assert chapters(output) == chapters(source) and len(chapters(source)) == 1
    assert ffprobe.container(output)["tags"]["title"] == "a day"


def test_an_attached_font_and_a_cover_picture_are_kept_byte_for_byte(tmp_path: Path) -> None:
    output = edited(rich(tmp_path, "in.mkv"), tmp_path / "out.mkv")
    with av.open(str(output)) as container:
        (attached,) = (stream for stream in container.streams if stream.type == "attachment")
        assert attached.name == "font.ttf" and bytes(attached.data) == bytes(range(256)) * 8
    source = rich(tmp_path, "in.mp4")
    covers = [ffprobe.packets(path, "v:1") for path in (source, edited(source, tmp_path / "out.mp4"))]
    assert covers[0][0][2] == covers[1][0][2]


@pytest.mark.parametrize(
    "name,suffix,lost",
    [
        ("in.mkv", ".mp4", ["subtitle stream #3 (subrip, spa)", "attachment stream #4 (font.ttf)"]),
        ("in.mkv", ".mov", ["subtitle stream #3 (subrip, spa)", "attachment stream #4 (font.ttf)"]),
        ("in.mp4", ".webm", ["stream #1 (aac, deu)", "stream #2 (aac, fra)", "stream #3 (mov_text, spa)"]),
    ],
)
def test_what_the_container_cannot_hold_is_named(tmp_path: Path, name: str, suffix: str, lost: list[str]) -> None:
    output = edited(rich(tmp_path, name), tmp_path / f"out{suffix}")
    warnings = report_of(output)["warnings"]
    for each in lost:
        assert any(each in line and suffix in line for line in warnings), (each, warnings)
    kinds = [stream["codec_type"] for stream in ffprobe.streams(output)]
    assert "subtitle" not in kinds and "attachment" not in kinds


def test_the_timecode_of_a_mov_is_kept(tmp_path: Path) -> None:
    source = rich(tmp_path, "in.mov")
    output = edited(source, tmp_path / "out.mov")
    before, after = ([s for s in ffprobe.streams(path) if s["codec_type"] == "data"] for path in (source, output))
    assert [s["codec_tag_string"] for s in after] == [s["codec_tag_string"] for s in before]
    assert "tmcd" in [s["codec_tag_string"] for s in before]
    assert [s["tags"].get("timecode") for s in after] == [s["tags"].get("timecode") for s in before]
