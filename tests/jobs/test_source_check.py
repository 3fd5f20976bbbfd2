"""The source while a job runs: touched is the same, changed or gone is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vidinv.errors import InputUnreadable
from vidinv.jobs.source_check import SourceState


def test_a_file_that_was_touched_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "in.mp4"
    path.write_bytes(b"frames")
    seen = SourceState.of(path)
    os.utime(path, (1, 1))
    seen.check()


@pytest.mark.parametrize("what", ["same size", "longer", "replaced", "gone"])
def test_a_file_that_changed_or_went_away_is_noticed(tmp_path: Path, what: str) -> None:
    path = tmp_path / "in.mp4"
    path.write_bytes(b"frames")
    os.utime(path, (1, 1))
    seen = SourceState.of(path)
    if what == "gone":
        path.unlink()
    elif what == "replaced":
        (tmp_path / "other").write_bytes(b"FRAMES")
        os.utime(tmp_path / "other", (1, 1))
        (tmp_path / "other").rename(path)
    else:
        path.write_bytes(b"FRAMES" if what == "same size" else b"frames and more")
    with pytest.raises(InputUnreadable, match="was removed" if what == "gone" else "changed"):
        seen.check()


def test_a_picture_of_a_folder_counts(tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        (tmp_path / name).write_bytes(b"picture")
    seen = SourceState.of(tmp_path)
    seen.check()
    (tmp_path / "2.png").unlink()
    with pytest.raises(InputUnreadable, match="changed"):
        seen.check()


def test_what_is_not_there_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(InputUnreadable):
        SourceState.of(tmp_path / "none.mp4")
