"""Clips composed of others, for measuring what a cut, a crossing, a hand or a blur does; frames are [H,W,3] uint8 RGB.

What lies before a face is drawn here with a known alpha, in other ways than `trainers/occluders.py` draws what the
network of `vidinv/faces/occlusion.py` was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np

from tests.clips import make_clip
from vidinv.frames import Array

RATE = 25


def frames(path: Path, first: int = 0, count: int = 100) -> list[Array]:
    """The frames of a clip from `first` on, at most `count`."""
    with av.open(str(path)) as container:
        found = []
        for index, frame in enumerate(container.decode(video=0)):
            if index >= first + count:
                break
            if index >= first:
                found.append(frame.to_ndarray(format="rgb24"))
    return found


def write(path: Path, shown: Sequence[Array]) -> Path:
    """A clip of these frames, nearly lossless, 25 a second."""
    height, width = (side // 2 * 2 for side in shown[0].shape[:2])
    return make_clip(
        path,
        size=(width, height),
        frames=len(shown),
        rate=RATE,
        audio=False,
        image=lambda index: shown[index][:height, :width],
        options={"crf": "8"},
    )


def fitted(frame: Array, width: int, height: int) -> Array:
    """The frame's middle, as large as fits, scaled to `width` x `height`."""
    scale = max(width / frame.shape[1], height / frame.shape[0])
    matrix = np.array([[scale, 0, 0], [0, scale, 0]])
    matrix[:, 2] = np.array([width, height]) / 2 - scale * np.array([frame.shape[1], frame.shape[0]]) / 2
    return cv2.warpAffine(frame, matrix, (width, height), flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def square(path: Path, first: int = 0, count: int = 100, side: int = 480) -> list[Array]:
    """The frames of a clip as squares."""
    return [fitted(frame, side, side) for frame in frames(path, first, count)]
