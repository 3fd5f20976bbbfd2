"""Reading the watermark blindly: every cell of the frame votes, stretch by stretch, and windows are tried.

Marked cells vote the same on every frame, the others at random; no vote counts more than 1, so that texture does not
drown the mark. Windows of several sizes find the part of the frame that is marked, without looking for a face.
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

SHARES = (1.0, 0.67, 0.45, 0.3)  # a window's side, of the shorter side of the frame
FULL = 0.5  # RMS in levels, of the wave whose cell has a full vote: an encoder leaves a part of what was put in
STEPS = 4  # windows begin at every fourth of a side
_SAMPLES = 8  # along a cell are enough
_LEAST = 12  # cells, side of the smallest window worth trying


@dataclass
class Votes:
    """The votes of the frames added so far, for every grid: `add` frames of one size, then `read`."""

    aspect: Fraction = Fraction(1)
    sums: dict[int, Array] = field(default_factory=dict)  # by the grid's count, [rows, columns]
    frames: int = 0

    def add(self, luma: Array) -> None:
        """Count the votes of a frame's luma [H,W] in 8-bit levels."""
        for count in watermark_embed.COUNTS:
            small = _shrunk(luma, count * _SAMPLES)
            cells = watermark_embed.grid(small.shape[0], small.shape[1], count, self.aspect)
            votes = np.clip(watermark_embed.strengths(small, cells) / FULL, -1, 1)
            self.sums[count] = self.sums.get(count, 0) + votes
        self.frames += 1

    def read(self) -> Message | None:
        """The mark that the votes spell, also where frames were turned or mirrored since; None where there is none."""
        found = [message for votes in self.sums.values() for message in map(_read, _turned(votes)) if message]
        return max(found, key=lambda message: message.score, default=None)

    def join(self, other: Votes) -> None:
        """Take over the votes of another stretch of the same clip."""
        for count, votes in other.sums.items():
            self.sums[count] = self.sums.get(count, 0) + votes
        self.frames += other.frames


def _shrunk(luma: Array, shorter: int) -> Array:
    """`luma` [H,W] with at most `shorter` samples along its shorter side."""
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
    """The votes of the frame turned and mirrored in all eight ways; a turn by 90 degrees or a mirror negates a wave."""
    for turns in range(4):
        turned = np.rot90(votes, turns) * (-1) ** turns
        yield turned
        yield -turned[:, ::-1]
