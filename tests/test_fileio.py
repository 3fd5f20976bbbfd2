"""What a job keeps for itself is whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidinv import fileio


@pytest.mark.parametrize("data", [b"", b"one\ntwo", bytes(range(256)) * 40])
def test_what_was_sealed_is_read_back(tmp_path: Path, data: bytes) -> None:
    fileio.write_sealed(tmp_path / "file", data)
    assert fileio.read_sealed(tmp_path / "file") == data
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_is_cut_off_or_changed_anywhere_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert fileio.read_sealed(path) is None
    fileio.write_sealed(path, b"a few bytes")
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at])
        assert fileio.read_sealed(path) is None
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        assert fileio.read_sealed(path) is None


def test_no_file_stands_for_another(tmp_path: Path) -> None:
    fileio.write_sealed(tmp_path / "one", b"data")
    (tmp_path / "two").write_bytes((tmp_path / "one").read_bytes())
    assert fileio.read_sealed(tmp_path / "two") is None


def test_lines_are_trusted_up_to_the_first_that_is_damaged() -> None:
    lines = [fileio.sealed_line(text) for text in ('{"a": 1}', "zwölf", "last")]
    assert fileio.sealed_lines(b"".join(lines)) == ['{"a": 1}', "zwölf", "last"]
    assert fileio.sealed_lines(b"".join(lines)[:-3]) == ['{"a": 1}', "zwölf"]
    assert fileio.sealed_lines(lines[0] + b"\xff\xfe\n" + lines[2]) == ['{"a": 1}']
    assert fileio.sealed_lines(b"") == []
