"""Small versions of the long proofs: kills at random moments, damaged inputs, and the memory of a long clip."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def script(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"scripts.stress.{name}", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.slow
def test_five_kills_end_as_if_nobody_had_disturbed_them(tmp_path: Path) -> None:
    done = script("kill_and_resume", "--kills", 5, "--seed", 7, "--json", tmp_path / "kills.json")
    assert done.returncode == 0, done.stderr
    assert [kill["same"] for kill in json.loads((tmp_path / "kills.json").read_text())] == [True] * 5


@pytest.mark.slow
def test_two_killed_batches_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    done = script("kill_batch", "--clips", 2, "--kills", 2, "--seed", 7, "--json", tmp_path / "kills.json")
    assert done.returncode == 0, done.stderr
    assert [kill["wrong"] for kill in json.loads((tmp_path / "kills.json").read_text())] == ["", ""]


@pytest.mark.parametrize("inputs", [8, pytest.param(300, marks=pytest.mark.slow)])
def test_damaged_inputs_end_with_a_code_and_a_line(inputs: int, tmp_path: Path) -> None:
    done = script("fuzz", "--inputs", inputs, "--seed", 7, "--json", tmp_path / "fuzz.json")
    assert done.returncode == 0, done.stderr
    cases = json.loads((tmp_path / "fuzz.json").read_text())
    assert len(cases) == inputs and {case["kind"] for case in cases} == {"read", "run", "resume"}


@pytest.mark.slow
def test_memory_does_not_grow_with_the_frames_that_pass_and_little_with_what_is_kept(tmp_path: Path) -> None:
    done = script("memory", "--minutes", 3, "--from", 1, "--json", tmp_path / "memory.json")
    assert done.returncode == 0, done.stderr
    phases = json.loads((tmp_path / "memory.json").read_text())
    for name in ("analyse", "render"):  # 3600 frames pass between the two
        assert phases[name]["end"] - phases[name]["mark"] < 6, phases
    for name in ("link", "report"):  # megabytes for 5400 faces
        assert phases[name]["peak"] - phases[name]["begin"] < 5400 * 8e-3, phases
