"""A face that is lost or found inside a shot fades; at a cut, at the clip's ends and at a preview's it does not."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from vidinv.analysis import face_tracks
from vidinv.config import TrustConfig
from vidinv.faces import edit_confidence
from vidinv.frames import Analysis, Array, Shot, Track

COUNT, OVER = 60, TrustConfig().fade_seconds


@pytest.fixture(autouse=True)
def well_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edit_confidence, "visibility", lambda track, settings: np.ones(len(track.frames)))


def found(frames: list[int], shots: tuple[Shot, ...], searched: tuple[int, int] = (0, COUNT)) -> dict[int, float]:
    """The trust of a face on each frame at 25 a second."""
    at = np.array(frames)
    person = Track(0, at, np.zeros((len(at), 2, 3)), np.zeros((len(at), 106, 2)), np.ones(1))
    analysis = Analysis(COUNT, tuple(range(COUNT)), Fraction(1, 25), shots, (person,))
    (track,) = face_tracks.add_trust(analysis, TrustConfig(), searched).tracks
    values: Array = track.trust
    return dict(zip(frames, values.tolist(), strict=True))


def test_a_face_that_is_lost_goes_before_and_comes_softly() -> None:
    seen = found([*range(20), *range(30, COUNT)], (Shot(0, COUNT),))
    step = 0.04 / OVER
    assert [seen[k] for k in (15, 16, 17, 18, 19)] == pytest.approx([1, 4 * step, 3 * step, 2 * step, step])
    assert [seen[k] for k in (30, 31, 32, 33, 34)] == pytest.approx([step, 2 * step, 3 * step, 4 * step, 1])
    assert seen[0] == seen[COUNT - 1] == 1


def test_at_a_cut_and_at_the_ends_nothing_fades() -> None:
    shots = (Shot(0, 20), Shot(20, 40), Shot(40, COUNT))
    assert set(found([*range(20), *range(40, COUNT)], shots).values()) == {1}


def test_where_nobody_was_looked_for_nobody_was_lost() -> None:
    assert set(found(list(range(20, 35)), (Shot(0, COUNT),), searched=(20, 35)).values()) == {1}


def test_several_shots_with_a_late_face_in_each() -> None:
    seen = found([*range(10, 30), *range(33, COUNT)], (Shot(0, 30), Shot(30, COUNT)))
    assert seen[10] < 0.5 and seen[29] == 1 and seen[33] < 0.5 and seen[20] == seen[50] == 1
