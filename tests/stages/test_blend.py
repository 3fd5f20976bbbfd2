"""The mask: holes of the parser are closed, and what lies outside the face stays outside."""

from __future__ import annotations

import numpy as np

from stages.blend import fill_holes


def test_a_hole_inside_the_face_is_filled_and_nothing_far_outside_is() -> None:
    y, x = np.mgrid[:128, :128] - 64
    face = (x / 30) ** 2 + (y / 40) ** 2 < 1
    holed = face & ~(x**2 + (y - 5) ** 2 < 8**2)
    filled = fill_holes(holed)
    assert filled[face].all()
    assert not filled[(x / 35) ** 2 + (y / 45) ** 2 > 1].any()


def test_no_face_stays_no_face() -> None:
    assert not fill_holes(np.zeros((64, 64), bool)).any()
