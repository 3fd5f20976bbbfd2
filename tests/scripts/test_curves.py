"""`scripts/experiments/curves.py`: the losses of several trainings in one picture."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from tests.helpers.training_logs import write_log

ROOT = Path(__file__).parents[2]


def test_the_curves_of_a_training_with_stages_and_one_without_are_drawn(tmp_path: Path) -> None:
    write_log(tmp_path / "auto" / "stage-0004", (8, 16))
    write_log(tmp_path / "auto" / "stage-0008", (8, 32))
    write_log(tmp_path / "plain", (8, 16, 24))
    script = [sys.executable, "-m", "scripts.experiments.curves", *(str(tmp_path / name) for name in ("auto", "plain"))]
    done = subprocess.run([*script, "-o", str(tmp_path / "curves.png")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width == 4 * picture.height and len(np.unique(np.asarray(picture))) > 2
