"""`scripts/experiments/training_speed.py`: a training's own log, made one row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scripts.experiments import training_speed
from scripts.experiments.training_speed import PARTS, TRAININGS


def test_the_row_is_of_the_turns_that_were_asked_for_and_adds_up(tmp_path: Path) -> None:
    np.save(tmp_path / "corpus.npy", np.zeros((16, 3, 16, 16), np.uint8))
    found = training_speed.measure(TRAININGS["automodulator"], 3, ["first=16"], tmp_path, tmp_path / "out")
    assert (found["turns"], found["batch"]) == (3, 16) and tuple(found["ms"]) == PARTS
    assert found["ms"]["forward"] > 0 and found["ms"]["backward"] > 0
    assert found["images_per_s"] == pytest.approx(16e3 / sum(found["ms"].values()), rel=0.01)
    assert (tmp_path / "out" / "measured" / "generator.safetensors").exists()  # a training like any other


def test_reports_of_different_lengths_count_by_their_turns() -> None:
    reports = [{kind: dict.fromkeys((*PARTS, "keep"), each) for kind in ("ms", "cpu_ms")} for each in (1.0, 5.0)]
    found = training_speed.summed([3, 4], reports, 8)
    assert found["ms"] == dict.fromkeys(PARTS, 2.0) and found["images_per_s"] == pytest.approx(8e3 / (2 * len(PARTS)))
