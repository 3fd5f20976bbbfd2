"""Compute per-frame edit confidence from head pose and face size, and fade it over time."""

from __future__ import annotations

import math

import numpy as np

from vidinv.config import TrustConfig
from vidinv.faces import geometry, similarity
from vidinv.faces.framing import CORNERS
from vidinv.frames import Array, Track


def pose(track: Track, k: int) -> dict[str, float]:
    """Return `head_yaw` on the track's k-th frame; empty if its landmarks are a box's corners."""
    return {"head_yaw": head_yaw(track, k)} if track.landmarks.shape[1] > CORNERS else {}


def head_yaw(track: Track, k: int) -> float:
    """Return the head's yaw in degrees on the track's k-th frame, positive to the picture's right."""
    return head_turn(track, k)[0]


def head_turn(track: Track, k: int) -> tuple[float, float]:
    """Return yaw and pitch in degrees on the track's k-th frame, by `geometry.head_pose` in the upright crop."""
    upright = similarity.apply(similarity.invert(track.to_frame[k]), track.landmarks[k].astype(float))
    return geometry.head_pose(upright, track.crop, track.crop)[:2]


def crop_side(track: Track, k: int) -> float:
    """Return the side of the face's crop on the track's k-th frame, in frame pixels."""
    return track.crop * math.sqrt(abs(float(np.linalg.det(track.to_frame[k, :, :2]))))


def visibility(track: Track, settings: TrustConfig) -> Array:
    """Return the confidence [T] in [0,1] of a track: 1 for a clearly visible face, 0 for a profile or a tiny face."""
    turned = np.abs([pose(track, k).get("head_yaw", 0.0) for k in range(len(track.frames))])
    sides = np.array([crop_side(track, k) for k in range(len(track.frames))])
    frontal = (settings.yaw_bad - turned) / (settings.yaw_bad - settings.yaw_good)
    large = (sides - settings.side_bad) / (settings.side_good - settings.side_bad)
    return np.minimum(_ramp(frontal), _ramp(large))


def fade_over_time(seconds: Array, values: Array, over: float) -> Array:
    """Return the largest curve [T] below `values` [T] in [0,1] that takes at least `over` seconds from 0 to 1.

    The curve therefore falls before `values` does. `seconds` [T] ascend.
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
