"""A folder where a file is meant, and "." as a folder of pictures: a result, or one line and exit 2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers import ffprobe
from tests.helpers.runs import TINY
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main

EDIT = ["--edit", "age+2", *TINY]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a clip, a folder of its pictures and a folder without any."""
    clip = make_clip(tmp_path / "clip.mp4", frames=3)
    for name in ("pictures", "empty"):
        (tmp_path / name).mkdir()
    ffprobe.ffmpeg("-i", clip, tmp_path / "pictures" / "%03d.png")
    return tmp_path


def test_a_folder_of_pictures_can_be_the_current_one(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place / "pictures")
    assert main(["run", ".", *EDIT]) == 0
    assert len(list((place / "pictures_edited").glob("*.png"))) == 3
    assert json.loads((place / "pictures_edited.json").read_text())["frames"] == 3
    assert main(["inspect", "."]) == 0


@pytest.mark.parametrize(
    "command",
    [
        ["run", "clip.mp4", "-o", ".", *EDIT],
        ["run", "clip.mp4", "-o", "", *EDIT],
        ["run", "clip.mp4", "-o", "..", *EDIT],
        ["run", "clip.mp4", "-o", "/", *EDIT],
        ["run", "/", *EDIT],
        ["edit", ".", *EDIT],
        ["edit", "", *EDIT],
        ["edit", "pictures", *EDIT],
        ["edit", "pictures/001.png", "-o", ".", *EDIT],
        ["invert", "clip.mp4", "-o", ".", "--backend", "tiny"],
        ["inspect", "."],
        ["inspect", ""],
        ["inspect", "empty"],
        ["report", "."],
        ["report", ".", "."],
        ["report", "clip.mp4", "."],
        ["report", "compare", ".", "."],
    ],
    ids=" ".join,
)
def test_a_folder_in_place_of_a_file_is_one_line_and_exit_2(
    place: Path, command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    before = sorted(place.rglob("*"))
    assert main(command) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and "folder" in said[0]
    assert sorted(place.rglob("*")) == before
