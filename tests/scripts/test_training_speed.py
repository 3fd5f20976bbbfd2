"""`scripts/experiments/training_speed.py`: the log of a training by the command line, made one row."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_row_is_of_the_turns_that_were_asked_for_and_adds_up(tmp_path: Path) -> None:
    script = [sys.executable, "-m", "scripts.experiments.training_speed", "automodulator", "--turns", "3"]
    options = ["--set", "first=16", "--set", "size=16", "--json", str(tmp_path / "speed.json")]
    done = subprocess.run([*script, *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "speed.json").read_text())["automodulator"]
    assert (found["turns"], found["batch"]) == (3, 16)
    assert list(found["ms"]) == ["data", "forward", "backward", "optimiser", "average", "log"]
    assert found["ms"]["forward"] > 0 and found["ms"]["backward"] > 0
    assert found["images_per_s"] == pytest.approx(16e3 / sum(found["ms"].values()), rel=0.01)
    assert f"{found['images_per_s']:.2f}" in done.stdout
