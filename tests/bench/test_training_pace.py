"""The pace of a training from the reports in its log."""

from __future__ import annotations

import pytest

from vidinv.bench.training_pace import PARTS, mean_pace


def test_reports_of_different_lengths_count_by_their_turns() -> None:
    reports = [{kind: dict.fromkeys((*PARTS, "keep"), each) for kind in ("ms", "cpu_ms")} for each in (1.0, 5.0)]
    found = mean_pace([3, 4], reports, 8)
    assert found["ms"] == dict.fromkeys(PARTS, 2.0) and found["images_per_s"] == pytest.approx(8e3 / (2 * len(PARTS)))
