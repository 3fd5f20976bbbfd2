"""Where a crop lies on a box: the square, the stretched box, the picture as it is shown."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vidinv.faces import alignment, framing, similarity
from vidinv.faces.tracker import FrameFaces, Tracker
from vidinv.frames import Array, Shot

BOX = np.array([[30.0, 20.0, 70.0, 50.0]])  # 40 wide, 30 high


def corner_points(to_frame: Array, size: int) -> Array:
    """Where the outer corners of the crop lie, as edges of pixels: top left, top right, bottom right."""
    edge = size - 0.5
    return similarity.apply(to_frame, np.array([(-0.5, -0.5), (edge, -0.5), (edge, edge)])) + 0.5


def test_the_square_lies_round_the_middle_of_the_box() -> None:
    found = corner_points(framing.center(framing.corners(BOX)[0], 64, margin=1.5), 64)
    np.testing.assert_allclose(found, [(20, 5), (80, 5), (80, 65)], atol=1e-4)


def test_the_stretched_box_is_the_box() -> None:
    found = corner_points(framing.stretched_box(framing.corners(BOX)[0], 64), 64)
    np.testing.assert_allclose(found, [(30, 20), (70, 20), (70, 50)], atol=1e-4)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("name", ["center", "none"])
def test_a_crop_stands_upright_as_the_picture_is_shown(rotation: int, name: str) -> None:
    shown = np.zeros((80, 80, 3), np.float32)
    shown[20:35, 30:50] = 1  # the upper left part of what is in the box, as shown
    shown[:, :, 1] += np.linspace(0, 0.5, 80, dtype=np.float32)[:, None]
    coded = np.ascontiguousarray(np.rot90(shown, rotation // 90))  # the player turns it back, clockwise
    x0, y0, x1, y1 = 30, 20, 70, 50
    inside = {
        0: (x0, y0, x1, y1),
        90: (y0, 80 - x1, y1, 80 - x0),
        180: (80 - x1, 80 - y1, 80 - x0, 80 - y0),
        270: (80 - y1, x0, 80 - y0, x1),
    }[rotation]
    upright = framing.framing_by_name(name)(framing.corners(BOX)[0], 32)
    turned = framing.framing_by_name(name)(framing.corners(np.array([inside]), rotation)[0], 32)
    expected, found = alignment.warp_cpu(shown, upright, 32), alignment.warp_cpu(coded, turned, 32)
    assert expected.std() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_stretched_crop_is_as_smooth_as_its_finer_side_allows() -> None:
    stripes = np.zeros((64, 512, 3), np.float32)
    stripes[:, ::2] = 1  # finer than the crop's columns, which are 8 pixels wide; rows are of 1
    whole = framing.stretched_box(framing.corners(np.array([[0, 0, 512, 64]]))[0], 64)
    crop = alignment.warp_cpu(stripes, whole, 64)
    expected = cv2.resize(stripes, (64, 64), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(crop, expected, atol=0.02)


def test_boxes_are_tracked_and_smoothed_by_the_strategy() -> None:
    frames = []
    for k in range(12):
        boxes = BOX + 2.0 * k
        found = FrameFaces(boxes, np.ones(1), framing.corners(boxes), np.ones((1, 1), np.float32))
        frames.append(None if k == 5 else found)
    (track,) = Tracker(crop=64, framing=framing.framing_by_name("none")).link(frames, [Shot(0, 12)])
    assert track.frames.tolist() == list(range(12)), "a gap of one frame is filled"
    for k, to_frame in enumerate(track.to_frame):  # steady motion is kept, and so are the two scales
        expected = np.array([(30, 20), (70, 20), (70, 50)]) + 2.0 * k
        np.testing.assert_allclose(corner_points(to_frame, 64), expected, atol=1e-3)
