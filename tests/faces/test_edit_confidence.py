"""Trust: what is seen badly is left alone, and nothing springs on the way there."""

from __future__ import annotations

import numpy as np
import pytest

from vidinv.config import TrustConfig
from vidinv.faces import edit_confidence
from vidinv.frames import Array, Track

MODEL = np.array(  # a head in millimetres: nose tip, chin, outer eye corners, mouth corners
    [(0, 0, 0), (0, 63.6, 12.5), (-43.3, -32.7, 26), (43.3, -32.7, 26), (-28.9, 28.9, 24.1), (28.9, 28.9, 24.1)]
)
PLACES = (86, 0, 35, 93, 52, 61)  # of 106 landmarks


def head(yaw: float, side: float) -> tuple[Array, Array]:
    """Landmarks [106,2] of a head turned by `yaw` degrees, in a crop of `side` frame pixels, and its to_frame."""
    turn = np.radians(yaw)
    matrix = np.array([[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]])
    points = MODEL @ matrix.T
    seen = points[:, :2] / (1 + points[:, 2:] / 900) * (0.24 / 86.6) + 0.5  # eyes .24 of the crop apart
    landmarks = np.full((106, 2), 0.5)
    landmarks[list(PLACES)] = seen
    return landmarks * side, np.array([[side / 1024, 0, 0], [0, side / 1024, 0]])


def track(yaws: list[float], sides: list[float]) -> Track:
    landmarks, maps = zip(*(head(*each) for each in zip(yaws, sides, strict=True)), strict=True)
    return Track(0, np.arange(len(yaws)), np.stack(maps), np.stack(landmarks), np.ones(4))


def test_a_profile_and_a_tiny_face_are_left_alone() -> None:
    clip = track([0, 30, -30, 80, -80, 0, 0], [200, 200, 200, 200, 200, 20, 28])
    found = edit_confidence.visibility(clip, TrustConfig())
    assert found[:3].tolist() == [1, 1, 1] and found[3:6].tolist() == [0, 0, 0] and found[6] == pytest.approx(0.5)
    assert edit_confidence.head_yaw(clip, 1) * edit_confidence.head_yaw(clip, 2) < 0


def test_what_goes_takes_its_time_and_is_gone_when_it_must_be() -> None:
    seconds = np.arange(20) / 10
    values = np.ones(20)
    values[8:11] = 0
    found = edit_confidence.fade_over_time(seconds, values, over=0.5)
    assert (found <= values).all() and np.abs(np.diff(found)).max() <= 0.2 + 1e-9
    assert found[3] == 1 and found[8:11].tolist() == [0, 0, 0] and found[16] == 1
    assert found[7] == pytest.approx(0.2) and found[11] == pytest.approx(0.2)


def test_a_steady_face_is_as_it_was() -> None:
    assert edit_confidence.fade_over_time(np.arange(5) / 25, np.full(5, 0.7), over=0.2).tolist() == [0.7] * 5
