"""Flicker: what moves with the face is none, what trembles or stands still is some."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vidinv.metrics.flicker import flicker

SIDE = 96


def moving(step: int) -> np.ndarray:
    """A smooth random pattern that moves `step` pixels a frame: [6,S,S,3] in [0,1]."""
    noise = np.random.default_rng(0).random((SIDE, SIDE + 40, 3)).astype(np.float32)
    wide = cv2.GaussianBlur(noise, (0, 0), 3)
    wide = (wide - wide.min()) / (wide.max() - wide.min())
    return np.stack([wide[:, t * step : t * step + SIDE] for t in range(6)])


def test_a_difference_that_moves_with_the_picture_does_not_flicker() -> None:
    source = moving(2)
    edit = 0.7 * source + 0.2  # what is added moves as the source does
    still = moving(0) * 0.7 + 0.2
    assert flicker(source, edit) < 0.01
    assert flicker(source, still) > 5 * flicker(source, edit)  # a frozen picture does not pass


def test_flicker_grows_with_what_trembles() -> None:
    source = moving(2)
    tremble = np.random.default_rng(1).standard_normal((6, 1, 1, 3)).astype(np.float32)
    levels = [source + size * tremble for size in (0.0, 0.01, 0.04)]
    found = [flicker(source, level) for level in levels]
    assert found[0] < 1e-6 and 0.004 < found[1] < 0.03 and found[2] == pytest.approx(4 * found[1], rel=0.05)


def test_two_videos_of_one_shape_are_compared() -> None:
    with pytest.raises(ValueError, match="one shape"):
        flicker(np.zeros((3, 8, 8, 3)), np.zeros((2, 8, 8, 3)))
