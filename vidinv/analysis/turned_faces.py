"""Find faces that are turned in the picture: by four angles, then by the angle that the found face itself has.

A detector also finds a face that is turned on its side or upside down, but with a lower score and with landmarks that
do not fit. Its score is highest at the angle at which the face is upright.
"""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np

from vidinv.backends.interface import Locate, LocatedFaces
from vidinv.faces import similarity
from vidinv.faces.framing import Framing
from vidinv.frames import Array

ANGLES = (0, 90, 180, 270)  # degrees, clockwise, by which the picture is shown to the detector
BETTER = 0.03  # by which a score must be higher at another angle than at the one before
SLANTED = 20.0  # degrees of roll from which the picture is turned by the face's own angle
SIZE = 256  # pixels of the crop whose axes give the roll


def locate_turned(locate: Locate, framing: Framing, picture: Array) -> LocatedFaces:
    """Locate the faces of a picture uint8 [H,W,3] that may be turned by any angle; all at one angle.

    `framing` gives the crop of a face's landmarks, whose axes say how the face is turned. Positions are in pixels of
    the picture as it is.
    """
    best, angle = locate(picture, 0, None), 0
    for other in ANGLES[1:]:
        found = locate(picture, other, None)
        if _score(found) > _score(best) + BETTER:
            best, angle = found, other
    if not len(best.scores):
        return best
    roll = _roll(best, framing)
    rest = (roll + angle + 180) % 360 - 180  # of the face in the picture that is turned by `angle`
    if abs(rest) < SLANTED:
        return best
    slanted = _locate_at(locate, picture, roll)
    return slanted if _score(slanted) > _score(best) + BETTER else best


def _score(found: LocatedFaces) -> float:
    return float(max(found.scores, default=0.0))


def _roll(found: LocatedFaces, framing: Framing) -> float:
    """The clockwise angle in degrees of the best face in the picture: that of its crop's x axis."""
    axis = framing(found.landmarks[int(np.argmax(found.scores))], SIZE)[:, 0]
    return math.degrees(math.atan2(axis[1], axis[0]))


def _locate_at(locate: Locate, picture: Array, roll: float) -> LocatedFaces:
    """Locate the faces in the picture turned back by `roll` degrees; positions are those in the picture as it is."""
    height, width = picture.shape[:2]
    turn = np.asarray(cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), roll, 1.0))
    corners = similarity.apply(
        turn, np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], float)
    )
    low, high = np.floor(corners.min(0)), np.ceil(corners.max(0))
    turn[:, 2] -= low
    size = tuple(int(side) + 1 for side in high - low)
    found = locate(np.ascontiguousarray(cv2.warpAffine(picture, turn, size, borderMode=cv2.BORDER_REPLICATE)), 0, None)
    back = cv2.invertAffineTransform(turn)
    boxes = [_box(similarity.apply(back, _corners(box))) for box in found.boxes]
    landmarks = [similarity.apply(back, points) for points in found.landmarks]
    return replace(
        found,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        landmarks=np.array(landmarks, np.float32).reshape(found.landmarks.shape),
    )


def _corners(box: Array) -> Array:
    x0, y0, x1, y1 = box.astype(np.float64)
    return np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]])


def _box(points: Array) -> Array:
    return np.concatenate([points.min(0), points.max(0)])
