"""The journal trusts whole records of whole files in their order, and nothing behind the first that is not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from vidinv.jobs.journal import Journal


def journal(folder: Path) -> Journal:
    """One of four segments."""
    made = Journal(folder)
    for number in range(4):
        path = folder / f"segment-{number:05d}.segment"
        path.write_bytes(b"frames" * number)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        made.append({"segment": number, "files": {path.name: digest}, "faces": [{"frame": number, "track": 0}]})
    return made


def swapped(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2], lines[1], lines[3]]


def twice(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[0], *lines[1:]]


def another_number(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b'"frame": 1', b'"frame": 8'), *lines[2:]]


def cut_off(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1][:-20]]


@pytest.mark.parametrize("change", [swapped, twice, another_number, cut_off])
def test_what_follows_a_damaged_line_is_made_again(
    tmp_path: Path, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    made = journal(tmp_path)
    assert [record["segment"] for record in made.finished()] == [0, 1, 2, 3]
    made.path.write_bytes(b"".join(change(made.path.read_bytes().splitlines(keepends=True))))
    assert [record["segment"] for record in made.finished()] == [0]


def test_a_file_that_is_not_what_was_written_ends_what_is_trusted(tmp_path: Path) -> None:
    made = journal(tmp_path)
    (tmp_path / "segment-00002.segment").write_bytes(b"framed" * 2)
    assert [record["segment"] for record in made.finished()] == [0, 1]
    made.keep(made.finished())
    assert made.path.read_bytes().count(b"\n") == 2
