"""Every hostile file ends its command with one line and its exit code, within 1 GB; the peak memory is printed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.hostile import FILES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The script's row of every file by its name, and what it says on standard error as the row "".

    It runs in a process of its own: a fork of one whose libraries have threads may wait for ever.
    """
    command = [sys.executable, "-m", "scripts.stress.hostile_files"]
    place = tmp_path_factory.mktemp("hostile")
    done = subprocess.run(command, cwd=ROOT, env=_environment(place), capture_output=True, text=True, check=False)
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in done.stdout.splitlines() if line.startswith("| ")}
    return rows | {"": done.stderr}


def _environment(place: Path) -> dict[str, str]:
    return {**os.environ, "VIDINV_CACHE": str(place / "cache"), "TMPDIR": str(place)}


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_ends_in_one_line(name: str, table: dict[str, str]) -> None:
    print(table[name])
    assert f"{name}: " not in table[""], table[""]
    assert f"| {FILES[name].code} |" in table[name] and "error: " in table[name]
