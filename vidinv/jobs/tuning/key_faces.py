"""Choose the key faces that a network is tuned to, and the held-out faces that validate it.

Key faces are sharp, diverse in pose and spread in time; held-out faces are spaced evenly over each track.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidinv.frames import Array

BLURRED = 0.35  # share of its track's median sharpness below which a face is not a key face
YAW, PITCH = 15.0, 10.0  # degrees that weigh as much as the whole length of a track


@dataclass(frozen=True)
class Candidate:
    """A candidate face: frame, track, time in seconds, sharpness, and head yaw and pitch in degrees."""

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
    """Return (key faces, held-out faces), both in order of frame and track.

    Each track gets a share of both by its length, and at least one key face. At most a quarter of a track is held out,
    and nothing of a track with fewer than eight faces.
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
    """`count` faces at the middles of `count` equal parts of the track, so that both ends stay available."""
    return [faces[int((place + 0.5) * len(faces) / count)] for place in range(count)]


def _diverse(faces: Sequence[Candidate], count: int) -> list[Candidate]:
    """Choose `count` faces by farthest-point sampling in time and pose, starting from the sharpest.

    Each distance is scaled by the face's sharpness, up to the median.
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
    """Variance of the Laplacian of a face [S,S,3] in [0,1], in grey levels of 255; small for a blurred face."""
    grey = cv2.cvtColor(np.ascontiguousarray(crop, np.float32), cv2.COLOR_RGB2GRAY) * 255
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())
