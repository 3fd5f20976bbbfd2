"""Detect the watermark without the source: sum the votes of every cell over frames and search windows.

Marked cells vote equally on every frame, others at random; a vote is limited to 1, so that texture does not hide the
watermark. Windows of several sizes locate the marked part of the frame without a face detector.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import cv2
import numpy as np

from vidinv.frames import Array
from vidinv.provenance import payload, watermark_embed
from vidinv.provenance.payload import CHIPS, Message

SHARES = (1.0, 0.67, 0.45, 0.3)  # sides of the windows, as shares of the frame's shorter side
FULL = 0.5  # RMS in levels of a wave that gives a full vote: a video encoder removes part of the wave
STEPS = 4  # window positions per side length
_SAMPLES = 8  # samples along a cell, enough for reading
_LEAST = 12  # cells, side of the smallest window


@dataclass
class Votes:
    """Sums of the frames' votes for every grid: `add` frames of one size, then `read`."""

    aspect: Fraction = Fraction(1)
    sums: dict[int, Array] = field(default_factory=dict)  # by the grid's count, [rows, columns]
    frames: int = 0

    def add(self, luma: Array) -> None:
        """Add the votes of a frame's luma [H,W] in 8-bit levels."""
        for count in watermark_embed.COUNTS:
            small = _shrunk(luma, count * _SAMPLES)
            cells = watermark_embed.grid(small.shape[0], small.shape[1], count, self.aspect)
            votes = np.clip(watermark_embed.strengths(small, cells) / FULL, -1, 1)
            self.sums[count] = self.sums.get(count, 0) + votes
        self.frames += 1

    def read(self) -> Message | None:
        """Decode the votes, also of rotated or mirrored frames; None if there is no watermark."""
        found = [message for votes in self.sums.values() for message in map(_read, _turned(votes)) if message]
        return max(found, key=lambda message: message.score, default=None)

    def join(self, other: Votes) -> None:
        """Add the votes of another part of the same clip."""
        for count, votes in other.sums.items():
            self.sums[count] = self.sums.get(count, 0) + votes
        self.frames += other.frames


def _shrunk(luma: Array, shorter: int) -> Array:
    """Return `luma` [H,W] shrunk to at most `shorter` samples along its shorter side."""
    height, width = luma.shape
    share = shorter / min(height, width)
    if share >= 1:
        return luma
    return cv2.resize(luma, (round(width * share), round(height * share)), interpolation=cv2.INTER_AREA)


def _read(votes: Array) -> Message | None:
    rows, columns = votes.shape
    plain, which = votes * watermark_embed.signs(rows, columns), watermark_embed.chips(rows, columns)
    sums = [
        np.bincount(which[window].ravel(), plain[window].ravel(), minlength=CHIPS) for window in _windows(rows, columns)
    ]
    return payload.decode(np.stack(sums).astype(np.float32))


def _windows(rows: int, columns: int) -> Iterator[tuple[slice, slice]]:
    yield slice(0, rows), slice(0, columns)
    for share in SHARES:
        side = round(share * min(rows, columns))
        if side < _LEAST:
            continue
        step = max(1, side // STEPS)
        for top in range(0, rows - side + step, step):
            for left in range(0, columns - side + step, step):
                yield slice(top, top + side), slice(left, left + side)


def _turned(votes: Array) -> Iterator[Array]:
    """Yield the votes of the frame in all eight orientations; a rotation by 90 degrees or a mirror negates a wave."""
    for turns in range(4):
        turned = np.rot90(votes, turns) * (-1) ** turns
        yield turned
        yield -turned[:, ::-1]
