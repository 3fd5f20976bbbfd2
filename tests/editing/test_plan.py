"""The plan of a clip's edits: when each is there, for whom, and that they add up."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from vidinv.editing import plan
from vidinv.editing.directions import Direction
from vidinv.editing.plan import ResolvedEdit
from vidinv.errors import UsageError
from vidinv.frames import Edit, Track

SLOTS, WIDTH = 6, 4


def direction(name: str, number: int) -> Direction:
    return Direction(name, torch.eye(WIDTH)[number], 0.5, (1, 4), "made-up-w")


AGE, SMILE = direction("age", 0), direction("smile", 1)


def test_an_edit_without_a_time_is_there_all_along() -> None:
    assert {plan.share(Edit("age", 1), second, 0) for second in (0.0, 0.01, 5.0, 1e5)} == {1.0}


def test_an_edit_comes_and_goes_smoothly_inside_its_span() -> None:
    edit = Edit("age", 1, span=(2.0, 4.0), ramp=0.5)
    seconds = np.arange(0, 6, 0.01)
    shares = np.array([plan.share(edit, second, 0) for second in seconds])
    assert not shares[(seconds < 2) | (seconds > 4)].any()
    assert (shares[(seconds > 2.501) & (seconds < 3.499)] == 1).all()
    assert np.abs(np.diff(shares)).max() < 1.6 * 0.01 / 0.5  # no jump: a smoothstep's steepest slope is 1.5 per ramp
    assert plan.share(edit, 2.25, 0) == pytest.approx(0.5)


def test_an_edit_from_the_beginning_to_the_end_has_no_ramp_there() -> None:
    assert plan.share(Edit("age", 1, span=(0.0, 4.0)), 0.0, 0) == 1
    assert plan.share(Edit("age", 1, span=(2.0, math.inf)), 1e4, 0) == 1


def test_a_span_shorter_than_its_ramps_still_reaches_the_whole_strength() -> None:
    assert plan.share(Edit("age", 1, span=(2.0, 2.2), ramp=1.0), 2.1, 0) == pytest.approx(1)


def test_no_ramp_switches() -> None:
    edit = Edit("age", 1, span=(2.0, 4.0), ramp=0.0)
    assert [plan.share(edit, second, 0) for second in (1.99, 2.0, 4.0, 4.01)] == [0, 1, 1, 0]


def test_offsets_are_each_faces_own_and_add_up_in_any_order() -> None:
    moves = [
        ResolvedEdit(AGE, Edit("age", 2, track=0)),
        ResolvedEdit(SMILE, Edit("smile", -1, span=(3.0, 5.0), ramp=0.0)),
        ResolvedEdit(AGE, Edit("age", 1, track=1)),
    ]
    seconds, persons = [1.0, 4.0, 4.0], [0, 0, 1]
    found = plan.offsets(moves, seconds, persons, SLOTS)
    rows = [found[n, 2] for n in range(3)]
    torch.testing.assert_close(rows[0], torch.tensor([1.0, 0, 0, 0]))
    torch.testing.assert_close(rows[1], torch.tensor([1.0, -0.5, 0, 0]))
    torch.testing.assert_close(rows[2], torch.tensor([0.5, -0.5, 0, 0]))
    assert not found[:, 0].any() and not found[:, 4:].any()
    assert torch.equal(found, plan.offsets(moves[::-1], seconds, persons, SLOTS))


def test_presence_is_that_of_the_edit_that_is_most_there() -> None:
    moves = [ResolvedEdit(AGE, Edit("age", 1, span=(2.0, 4.0), ramp=1.0)), ResolvedEdit(SMILE, Edit("smile", 0))]
    assert plan.presence(moves, 1.0, 0) == 0  # an edit of strength 0 shows nothing
    assert 0 < plan.presence(moves, 2.2, 0) < 1
    assert plan.presence(moves, 2.5, 0) == pytest.approx(1)
    assert plan.presence(moves, 3.0, 0) == 1


def test_an_edit_for_nobody_in_particular_is_for_everybody_chosen() -> None:
    moves = plan.expand_persons(
        [ResolvedEdit(AGE, Edit("age", 1)), ResolvedEdit(SMILE, Edit("smile", 1, track=2))], [0, 1]
    )
    assert [(move.direction.name, move.edit.track) for move in moves] == [("age", 0), ("age", 1), ("smile", 2)]


def test_a_track_keeps_the_frames_on_which_it_is_edited() -> None:
    frames = np.array([0, 1, 3, 5, 6])
    track = Track(0, frames, np.arange(30.0).reshape(5, 2, 3), np.zeros((5, 106, 2)), np.zeros(4))
    seconds = [index * 0.5 for index in range(8)]
    kept = plan.restrict_to_edits(track, [ResolvedEdit(AGE, Edit("age", 1, span=(1.0, 2.6), ramp=0.0))], seconds)
    assert kept.frames.tolist() == [3, 5] and kept.to_frame[:, 0, 0].tolist() == [12.0, 18.0]


def test_a_value_takes_a_measure_that_rises_along_the_direction() -> None:
    measured = replace(AGE, calibration={"years": 6.0})
    assert plan.resolve_edit(measured, Edit("age", 0, target=60.0), SLOTS, ["age"]).edit.target == 60
    for direction, names in ((measured, ()), (AGE, ["age"]), (replace(AGE, calibration={"years": -1.0}), ["age"])):
        with pytest.raises(UsageError, match="no network measures age"):
            plan.resolve_edit(direction, Edit("age", 0, target=0.0), SLOTS, names)


def test_rows_that_are_not_there_are_refused() -> None:
    assert plan.resolve_edit(AGE, Edit("age", 1, layers=(2, 6)), SLOTS).direction.layers == (2, 6)
    with pytest.raises(UsageError, match="layers=2-6: w\\+ has 6 rows"):
        plan.resolve_edit(AGE, Edit("age", 1, layers=(2, 7)), SLOTS)
