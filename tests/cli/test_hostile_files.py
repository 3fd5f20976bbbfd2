"""Every hostile file ends its command with one line and its exit code, within 1 GB; the peak memory is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.stress import hostile_files
from tests.helpers.hostile import FILES


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_ends_in_one_line(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], own_cache: Path
) -> None:
    with capfd.disabled():  # so that the fork writes to the standard error that is read
        found = hostile_files.give(name, tmp_path)
    print(f"{name}: exit code {found.code}, {found.seconds:.1f} s, {found.megabytes:.0f} MB; {found.said}")
    assert not found.wrong, found
    assert not list(tmp_path.glob("*.out*"))
