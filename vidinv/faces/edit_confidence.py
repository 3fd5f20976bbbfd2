"""How far a face may be edited at all, by what the analysis saw of it; and fading, so that nothing springs."""

from __future__ import annotations

import math

import numpy as np

from vidinv.config import TrustConfig
from vidinv.faces import geometry, similarity
from vidinv.faces.framing import CORNERS
from vidinv.frames import Array, Track


def pose(track: Track, k: int) -> dict[str, float]:
    """`head_yaw` on the track's k-th frame; nothing where its landmarks are a box's corners."""
    return {"head_yaw": head_yaw(track, k)} if track.landmarks.shape[1] > CORNERS else {}


def head_yaw(track: Track, k: int) -> float:
    """The head's yaw in degrees on the track's k-th frame, by its landmarks; positive to the picture's right."""
    return head_turn(track, k)[0]


def head_turn(track: Track, k: int) -> tuple[float, float]:
    """Yaw and pitch in degrees on the track's k-th frame, as `geometry.head_pose` counts them in the upright crop."""
    upright = similarity.apply(similarity.invert(track.to_frame[k]), track.landmarks[k].astype(float))
    return geometry.head_pose(upright, track.crop, track.crop)[:2]


def side(track: Track, k: int) -> float:
    """Side of the face's crop on the track's k-th frame, in pixels of the frame."""
    return track.crop * math.sqrt(abs(float(np.linalg.det(track.to_frame[k, :, :2]))))


def seen(track: Track, settings: TrustConfig) -> Array:
    """[T] in [0,1]: 1 for a face that is seen well, 0 for a profile or a tiny one."""
    turned = np.abs([pose(track, k).get("head_yaw", 0.0) for k in range(len(track.frames))])
    sides = np.array([side(track, k) for k in range(len(track.frames))])
    frontal = (settings.yaw_bad - turned) / (settings.yaw_bad - settings.yaw_good)
    large = (sides - settings.side_bad) / (settings.side_good - settings.side_bad)
    return np.minimum(_ramp(frontal), _ramp(large))


def faded(seconds: Array, values: Array, over: float) -> Array:
    """The largest curve [T] below `values` [T] in [0,1] that takes `over` seconds from 0 to 1: it goes before it must.

    `seconds` [T] ascend.
    """
    found = np.array(values, np.float64)
    step = np.diff(seconds) / over
    for k in range(1, len(found)):
        found[k] = min(found[k], found[k - 1] + step[k - 1])
    for k in range(len(found) - 2, -1, -1):
        found[k] = min(found[k], found[k + 1] + step[k])
    return found


def _ramp(x: Array) -> Array:
    return np.clip(np.asarray(x, np.float64), 0, 1)
