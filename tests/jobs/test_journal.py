"""The journal trusts whole records of whole files in their order, and nothing behind the first that is not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.json_changes import changed
from vidinv import fileio
from vidinv.frames import FaceMetrics
from vidinv.jobs.journal import Journal
from vidinv.report.face_rows import FaceRow
from vidinv.stages.reencode import SegmentRecord


def journal(folder: Path) -> Journal:
    """One of four segments."""
    made = Journal(folder)
    for number in range(4):
        path = folder / f"segment-{number:05d}.segment"
        path.write_bytes(b"frames" * number)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        face = FaceRow(number, 0, FaceMetrics(confidence=0.75, faded_confidence=0.5, rect=(2, 4, 10, 12)))
        made.append(SegmentRecord(number, number, number, {path.name: digest}, (face,), ((0.5, 1.25),)))
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
    assert [record.segment for record in made.finished()] == [0, 1, 2, 3]
    made.path.write_bytes(b"".join(change(made.path.read_bytes().splitlines(keepends=True))))
    assert [record.segment for record in made.finished()] == [0]


def test_a_file_that_is_not_what_was_written_ends_what_is_trusted(tmp_path: Path) -> None:
    made = journal(tmp_path)
    (tmp_path / "segment-00002.segment").write_bytes(b"framed" * 2)
    assert [record.segment for record in made.finished()] == [0, 1]
    made.keep(made.finished())
    assert made.path.read_bytes().count(b"\n") == 2


def test_a_record_is_read_as_it_was_written_and_kept(tmp_path: Path) -> None:
    made = journal(tmp_path)
    records = made.finished()
    assert records[2].faces[0].metrics == FaceMetrics(confidence=0.75, faded_confidence=0.5, rect=(2, 4, 10, 12))
    assert records[2].gaps == ((0.5, 1.25),) and (records[2].first, records[2].last) == (2, 2)
    made.keep(records)
    assert made.finished() == records


def test_a_journal_of_an_earlier_form_is_not_read(tmp_path: Path) -> None:
    """Earlier lines name no format; their `confidence` was the faded one."""
    made = journal(tmp_path)
    (first,) = made.finished()[:1]
    face = {"frame": 0, "track": 0, "cover": 0.5, "confidence": 0.5, "trust": 0.5, "rect": None}
    earlier = {"segment": 0, "first": 0, "last": 0, "files": dict(first.files), "faces": [face], "gaps": []}
    made.path.write_bytes(fileio.sealed_line(json.dumps(earlier)))
    assert made.finished() == []


@pytest.mark.parametrize("offset", range(2))
def test_a_line_of_another_form_ends_the_journal_even_with_its_checksum(tmp_path: Path, offset: int) -> None:
    lines = journal(tmp_path).path.read_bytes().splitlines(keepends=True)
    document = json.loads(fileio.sealed_lines(lines[1])[0])
    for name, made in list(changed(document))[offset::4]:
        (tmp_path / "journal.jsonl").write_bytes(lines[0] + fileio.sealed_line(json.dumps(made)) + lines[2])
        assert 1 <= len(Journal(tmp_path).finished()) <= 3, name


@pytest.mark.parametrize("text", ["", "text", "[]", "3", "[" * 100_000, '{"format": 2}', '{"format": 2, "faces": 3}'])
def test_a_line_that_is_no_record_ends_the_journal(tmp_path: Path, text: str) -> None:
    lines = journal(tmp_path).path.read_bytes().splitlines(keepends=True)
    (tmp_path / "journal.jsonl").write_bytes(lines[0] + fileio.sealed_line(text) + lines[2])
    assert len(Journal(tmp_path).finished()) == 1


def test_a_record_names_files_of_its_own_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"")
    made = Journal(tmp_path / "job")
    made.folder.mkdir()
    made.append(SegmentRecord(0, 0, 1, {"../outside": hashlib.sha256(b"").hexdigest()}, (), ()))
    assert made.finished() == []
