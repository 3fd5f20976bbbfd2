"""Alpha in .mov becomes ProRes 4444 unasked, tagged as such; a printed remedy works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.helpers import ffprobe
from tests.helpers.runs import TINY, edited, report_of
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main

SOURCES = {
    "prores": ["-vf", "format=yuva444p10le", "-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le"],
    "animation": ["-c:v", "qtrle", "-pix_fmt", "argb"],
    "png": ["-c:v", "png", "-pix_fmt", "rgba"],
    "png of 16 bits": ["-c:v", "png", "-pix_fmt", "rgba64be"],
}


def transparent(folder: Path, kind: str) -> Path:
    clip, made = make_clip(folder / "plain.mp4", frames=4, audio=False), folder / "in.mov"
    ffprobe.ffmpeg("-i", clip, *SOURCES[kind], made)
    return made


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("asked", [[], ["--codec", "prores"]], ids=["unasked", "asked"])
def test_alpha_in_mov_becomes_prores_4444(tmp_path: Path, kind: str, asked: list[str]) -> None:
    output = edited(transparent(tmp_path, kind), tmp_path / "out.mov", *asked)
    shown = ffprobe.video(output)
    assert (shown["codec_name"], shown["codec_tag_string"], shown["pix_fmt"][:8]) == ("prores", "ap4h", "yuva444p")
    assert any(line.startswith("prores") and "yuva444p10le" in line for line in report_of(output)["warnings"])


@pytest.mark.parametrize("codec,suffix", [("h264", ".mov"), ("h264", ".mp4"), ("lossless", ".mov"), ("vp9", ".webm")])
@pytest.mark.parametrize("kind", ["prores", "animation"])
def test_every_printed_remedy_works(
    tmp_path: Path, kind: str, codec: str, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = transparent(tmp_path, kind)
    command = ["run", str(source), "--edit", "age+2", *TINY]
    assert main([*command, "-o", str(tmp_path / f"out{suffix}"), "--codec", codec]) == 2
    said = capsys.readouterr().err
    names, codecs = re.findall(r"out\.(?:mp4|mkv)(?!\))", said.split(";")[1]), re.findall(r"--codec (\w+)", said)
    formats = re.findall(r"--pix-fmt (\w+)", said)
    tries = [["-o", str(tmp_path / name), "--codec", codec] for name in names]
    tries += [["-o", str(tmp_path / f"out{suffix}"), "--codec", known] for known in codecs]
    tries += [["-o", str(tmp_path / f"out{suffix}"), "--codec", codec, "--pix-fmt", known] for known in formats]
    assert tries
    for options in tries:
        assert main([*command, *options, "--overwrite"]) == 0, options
