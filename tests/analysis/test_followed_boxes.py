"""Between detections a face is looked for in a box like the detector's: from the chin to above the forehead."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vidinv import config as configs
from vidinv.analysis import first_pass
from vidinv.backends.interface import LocatedFaces
from vidinv.frames import Array, Colour, FrameBatch, Planes

POINTS = np.array([[(40, 60), (80, 60), (60, 110)]], np.float32)  # 40 wide, 50 high


def frames(first: int) -> Iterator[FrameBatch]:
    grey = Planes((np.full((160, 160), 90, np.uint8),), "gray", 0, 0, 8)
    for index in range(first, 4):
        yield FrameBatch((grey,), Colour("bt709", True), (index,), Fraction(1, 25), (index,))


@pytest.mark.parametrize(
    ("rotation", "expected"),
    [(0, (40, 43, 80, 110)), (90, (26.4, 60, 80, 110)), (180, (40, 60, 80, 127)), (270, (40, 60, 93.6, 110))],
)
def test_it_reaches_to_where_the_upright_pictures_top_is(
    tmp_path: Path, rotation: int, expected: tuple[float, ...]
) -> None:
    asked: list[Array | None] = []

    def locate(rgb: Array, turned: int, known: Array | None) -> LocatedFaces:
        asked.append(known)
        return LocatedFaces(np.array([(36, 40, 84, 112)], np.float32), np.ones(1), POINTS, np.ones((1, 4)))

    config = configs.load_run_config("fast", ["detect_every=3"])
    first_pass.analyse(frames, locate, tmp_path, config, rotation, lambda done: None)
    assert asked[0] is None and asked[3] is None
    for known in asked[1:3]:
        np.testing.assert_allclose(known, [expected], atol=1e-3)
