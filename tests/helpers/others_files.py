"""Files that are not the command's: kinds of them, whether they stayed, and the one line that refuses them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.runs import TINY
from vidinv.cli.main import main

QUIET = [*TINY, "-q"]
FILES = {  # what a run writes: the name of each file
    "output": "out.mp4",
    "preview": "out.mp4.preview.mp4",
    "page": "out.mp4.report.html",
    "report": "out.mp4.json",
    "codes": "codes.safetensors",
}
Put = Callable[[Path], None]


def letter(path: Path) -> None:
    path.write_text("somebody's")


def folder(path: Path) -> None:
    path.mkdir()
    letter(path / "letter")


def dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nothing"))


def link(path: Path) -> None:
    letter(path.with_name("secret"))
    path.symlink_to(path.with_name("secret"))


PUT: list[Put] = [letter, folder, dangling, link]


def is_untouched(path: Path, put: Put) -> bool:
    """Whether what `put` made is as it was, and what a link points to as well."""
    if put is folder:
        return [each.name for each in path.iterdir()] == ["letter"] and (path / "letter").read_text() == "somebody's"
    if put is dangling:
        return path.is_symlink() and not path.with_name("nothing").exists()
    return path.is_symlink() == (put is link) and path.read_text() == "somebody's"


def taken_away(path: Path, put: Put) -> None:
    if put is folder:
        (path / "letter").unlink()
        path.rmdir()
    else:
        path.unlink()


def run_all(clip: Path, *options: str) -> list[str]:
    """A run that writes every file there is."""
    output, codes = (str(clip.with_name(FILES[kind])) for kind in ("output", "codes"))
    how = ["--edit", "age+3", "--preview", "--report", "--codes", codes, "--codec", "lossless"]
    return ["run", str(clip), "-o", output, *how, *QUIET, *options]


def refused(capsys: pytest.CaptureFixture[str], command: list[str], code: int = 7) -> str:
    """The one line with which a command ends."""
    capsys.readouterr()
    assert main(command) == code
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    return said
