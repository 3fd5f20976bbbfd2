"""A face that is turned in its picture is found at the angle at which it is upright, and its landmarks fit."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from vidinv.analysis.turned_faces import locate_turned
from vidinv.backends.interface import LocatedFaces
from vidinv.faces import similarity
from vidinv.frames import Array

EYES_AND_MOUTH = np.array([[-20.0, -15.0], [20.0, -15.0], [0.0, 25.0]])  # around the middle of an upright face
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


def face(roll: float, size: tuple[int, int] = (200, 260), middle: tuple[float, float] = (120.0, 90.0)) -> Array:
    """A face of three dots, turned clockwise by `roll` degrees."""
    picture = np.zeros((*size, 3), np.uint8)
    for point, colour in zip(marks(roll, middle), COLOURS, strict=True):
        cv2.circle(picture, (round(point[0]), round(point[1])), 6, colour, -1)
    return picture


def marks(roll: float, middle: tuple[float, float] = (120.0, 90.0)) -> Array:
    c, s = math.cos(math.radians(roll)), math.sin(math.radians(roll))
    return EYES_AND_MOUTH @ np.array([[c, s], [-s, c]]) + middle


def locate(picture: Array, rotation: int, boxes: Array | None) -> LocatedFaces:
    """A detector that is sure of upright faces, and places landmarks falsely on those beyond 30 degrees."""
    places = [np.argwhere(picture[..., k] > 128)[:, ::-1] for k in range(3)]
    if not all(map(len, places)):
        return LocatedFaces(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 3, 2)), np.zeros((0, 1)))
    points = np.array([place.mean(0) for place in places])
    across = points[1] - points[0]
    seen = (math.degrees(math.atan2(across[1], across[0])) + rotation + 180) % 360 - 180
    score = 0.9 - 0.4 * abs(seen) / 180
    if abs(seen) > 30:
        points = points + np.array([8.0, -5.0])
    box = np.concatenate([points.min(0), points.max(0)])
    return LocatedFaces(box[None], np.array([score]), points[None], np.ones((1, 1)))


def framing(points: Array, size: int) -> Array:
    return similarity.fit(EYES_AND_MOUTH + size / 2, points.astype(np.float64))


@pytest.mark.parametrize("roll", [0, 10, -25, 50, 90, 110, 135, 180, 225, 270, 300, -45])
def test_a_face_at_any_angle_has_its_landmarks_where_they_are(roll: int) -> None:
    found = locate_turned(locate, framing, face(roll))
    assert np.abs(found.landmarks[0] - marks(roll)).max() < 2
    x0, y0, x1, y1 = found.boxes[0]
    assert x0 - 3 <= marks(roll)[:, 0].min() and marks(roll)[:, 0].max() <= x1 + 3
    assert y0 - 3 <= marks(roll)[:, 1].min() and marks(roll)[:, 1].max() <= y1 + 3


def test_an_upright_face_is_what_the_detector_gives() -> None:
    found, direct = locate_turned(locate, framing, face(5)), locate(face(5), 0, None)
    assert np.array_equal(found.landmarks, direct.landmarks) and np.array_equal(found.boxes, direct.boxes)


def test_a_picture_without_a_face_stays_without() -> None:
    assert len(locate_turned(locate, framing, np.zeros((64, 64, 3), np.uint8)).scores) == 0


@pytest.mark.weights
def test_a_drawn_face_that_is_turned_is_edited_like_the_upright_one() -> None:
    """The default detector on a face of the generator, turned by quarters and by less."""
    import torch

    from vidinv.backends import registry
    from vidinv.generators import registry as generators
    from vidinv.media.picture import pixels

    generator = generators.load_generator("mobile-stylegan-ffhq-1024")
    with torch.no_grad():
        drawn = pixels(generator.synthesize(generator.broadcast(generator.sample(1, seed=3)), size=512)[0])
    picture = cv2.copyMakeBorder(drawn, 130, 130, 200, 200, cv2.BORDER_CONSTANT, value=(90, 100, 110))
    backend = registry.choose_backend("default")
    locator = backend.locator("2d106")
    upright = locate_turned(locator, backend.framing, picture).landmarks[0]
    height, width = picture.shape[:2]
    for roll in (50, 90, 180, 270):
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -roll, 1.0)
        turned = cv2.warpAffine(picture, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
        found = locate_turned(locator, backend.framing, turned).landmarks[0]
        assert np.abs(found - similarity.apply(turn, upright)).mean() < 6, roll  # of a face of some 300 pixels
