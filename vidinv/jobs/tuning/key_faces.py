"""Key frames: the faces of a clip that an encoder is tuned to, and those that are held out to judge it.

Key faces are sharp, diverse in pose and spread in time; the held-out ones stand evenly between them, as they come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidinv.frames import Array

BLURRED = 0.35  # of the median sharpness of its track: what has less is no key face
YAW, PITCH = 15.0, 10.0  # degrees that count like a track's whole length in time


@dataclass(frozen=True)
class Candidate:
    """A face that may be chosen: where and when (seconds) it is, how sharp, and how the head is turned (degrees)."""

    frame: int
    track: int
    second: float
    sharpness: float
    yaw: float
    pitch: float

    @property
    def key(self) -> tuple[int, int]:
        return self.frame, self.track


def choose(faces: Sequence[Candidate], count: int, held: int) -> tuple[list[Candidate], list[Candidate]]:
    """(key faces, held-out faces), both in order of frame and track.

    Every track has a share of both by its length, and one key face at least. At most every fourth face of a track is
    held out, and none of a track of fewer than eight.
    """
    keys: list[Candidate] = []
    apart: list[Candidate] = []
    for track in sorted({face.track for face in faces}):
        mine = sorted((face for face in faces if face.track == track), key=lambda face: face.frame)
        share = len(mine) / len(faces)
        kept_back = _between(mine, min(round(held * share), len(mine) // 4) if len(mine) >= 8 else 0)
        apart += kept_back
        keys += _diverse([face for face in mine if face not in kept_back], max(1, round(count * share)))
    return sorted(keys, key=lambda face: face.key), sorted(apart, key=lambda face: face.key)


def _between(faces: Sequence[Candidate], count: int) -> list[Candidate]:
    """`count` faces evenly over the track, at the middles of as many equal parts, so that both ends are left."""
    return [faces[int((place + 0.5) * len(faces) / count)] for place in range(count)]


def _diverse(faces: Sequence[Candidate], count: int) -> list[Candidate]:
    """The sharpest, then again and again the one that is farthest from all chosen in time and pose, the sharper first.

    Farthest-point sampling, each distance scaled by the face's sharpness up to the median.
    """
    sharpness = np.array([face.sharpness for face in faces])
    usual = float(np.median(sharpness))
    sharp = [face for face in faces if face.sharpness >= BLURRED * usual]
    weight = np.minimum(np.array([face.sharpness for face in sharp]) / max(usual, 1e-9), 1)
    length = max(sharp[-1].second - sharp[0].second, 1e-9)
    places = np.array([(face.second / length, face.yaw / YAW, face.pitch / PITCH) for face in sharp])
    chosen = [int(np.argmax([face.sharpness for face in sharp]))]
    nearest = np.linalg.norm(places - places[chosen[0]], axis=1)
    while len(chosen) < min(count, len(sharp)):
        nearest[chosen] = -1
        chosen.append(int(np.argmax(nearest * np.where(nearest < 0, 1, weight))))
        nearest = np.minimum(nearest, np.linalg.norm(places - places[chosen[-1]], axis=1))
    return [sharp[place] for place in chosen]


def sharpness(crop: Array) -> float:
    """Variance of the Laplacian of a face [S,S,3] in [0,1], in grey levels of 255: small where it is blurred."""
    grey = cv2.cvtColor(np.ascontiguousarray(crop, np.float32), cv2.COLOR_RGB2GRAY) * 255
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())
