"""A clip with two tracks of faces, as the tunings of a clip are given it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from vidinv.frames import Analysis, Shot, Track
from vidinv.jobs.tuning import common as tuning


def track(number: int, frames: range, shift: float) -> Track:
    """A face of 64 pixels, somewhere near the corner."""
    to_frame = np.tile(np.array([[1.0, 0, shift], [0, 1.0, shift]]), (len(frames), 1, 1))
    landmarks = np.zeros((len(frames), 106, 2), np.float32)
    return Track(number, np.array(frames), to_frame, landmarks, np.zeros(1), crop=64)


TRACKS = (track(0, range(0, 12), 10.0), track(3, range(4, 7), 30.0))


def clip_of(source: Path, tracks: tuple[Track, ...], frames: int, content: str = "its content") -> tuning.TuningClip:
    shots = (Shot(0, frames),)
    return tuning.TuningClip(
        source, content, Analysis(frames, tuple(range(frames)), Fraction(1, 25), shots, tracks), (0, frames)
    )
