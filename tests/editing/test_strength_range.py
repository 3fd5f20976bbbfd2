"""Strengths beyond what was measured: a warning, and from twice the range on a refusal that --force lifts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main
from vidinv.editing import grammar, strength_range
from vidinv.editing.directions import Direction
from vidinv.editing.plan import ResolvedEdit
from vidinv.errors import UsageError

AGE = Direction("age", torch.ones(4) / 2, 1.0, (0, 8), "some-w", kept={"-2": 0.7, "-1": 0.9, "+1": 0.9, "+2": 0.7})


def resolved(text: str, direction: Direction = AGE) -> list[ResolvedEdit]:
    return [ResolvedEdit(direction, grammar.parse(text))]


@pytest.mark.parametrize(("text", "warned"), [("age+2", 0), ("age-2", 0), ("age+2.5", 1), ("age-3", 1), ("age+0", 0)])
def test_a_strength_beyond_the_measured_range_is_warned_of(text: str, warned: int) -> None:
    found = strength_range.range_warnings(resolved(text))
    assert len(found) == warned
    assert all(text in warning and "-2 to +2" in warning for warning in found)


def test_beyond_twice_the_range_it_is_refused_unless_forced() -> None:
    strength_range.check_strengths(resolved("age+4"), force=False)
    for text in ("age+4.1", "age-9"):
        with pytest.raises(UsageError, match="more than twice") as refused:
            strength_range.check_strengths(resolved(text), force=False)
        assert "--force" in str(refused.value.remedy)
        strength_range.check_strengths(resolved(text), force=True)


def test_a_direction_that_was_never_measured_has_no_range() -> None:
    unmeasured = resolved("age+50", replace(AGE, kept={}))
    assert strength_range.range_warnings(unmeasured) == []
    strength_range.check_strengths(unmeasured, force=False)


def test_run_refuses_a_mask_like_age_before_it_reads_a_frame(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=4)
    assert main(["run", str(clip), "--edit", "age+9", "-o", str(tmp_path / "out.mp4")]) == 2
    assert capsys.readouterr().err.startswith("error: age+9 is more than twice the largest measured strength, 2")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]
