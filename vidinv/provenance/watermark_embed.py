"""Embed the watermark: a small oblique wave of either sign in every cell of a grid over the frame.

The displayed frame is divided into cells, `count` of them along its shorter side. In each cell the luma is multiplied
by u(x, y) = sin(2 pi x) sin(2 pi y), x and y from 0 to 1 across the cell, which ignores the cell's brightness and slope
and is oblique, a pattern that is rare in pictures. The sign of the product is the cell's vote for a chip of the
payload. The embedder knows the picture and adds only as much of u as the vote lacks (informed spread spectrum, after
Malvar and Florencio 2003), in the edited samples only. The grid is fixed to the frame, not to the face: reading needs
no network and survives scaling of the whole frame, but not cropping.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import numpy as np

from vidinv.frames import Array, Colour, Planes, Rect
from vidinv.media.colour import is_rgb, luma_weights, sample_scale
from vidinv.provenance.payload import CHIPS

# Cells along the shorter side of the grids that the detector tries
COUNTS = (24, 32, 40, 50, 64, 80, 100, 128, 160)
TARGET, LIMIT = 1.7, 2.6  # target strength of a cell's vote, and maximum that is added, RMS in 8-bit levels
ENOUGH, SMALLEST = 330, 7.0  # cells on a face, samples along a cell
_COVERED = 0.3  # typical share of a face's crop covered by its mask
_SIDE = 1024  # maximum number of cells per side
_LEAST = 0.25  # minimum edited share of a cell that is marked


@dataclass(frozen=True)
class WatermarkGrid:
    """`rows` x `columns` cells over a frame of `height` x `width` samples."""

    rows: int
    columns: int
    height: int
    width: int

    @property
    def scale(self) -> float:
        """Return the divisor from products with unit waves to levels: the square root of a cell's area."""
        return float(np.sqrt(self.height / self.rows * self.width / self.columns))

    def down(self, first: int = 0, stop: int | None = None) -> Array:
        """Return the rows' waves [rows, stop-first], each of unit norm, at samples `first` to `stop`."""
        return _waves(self.rows, self.height)[:, first:stop]

    def across(self, first: int = 0, stop: int | None = None) -> Array:
        """Return the columns' waves [columns, stop-first], each of unit norm."""
        return _waves(self.columns, self.width)[:, first:stop]


def count_for(shorter: int, face: float) -> int:
    """Return the number of cells along the shorter side (`shorter` samples) for a face crop of side `face`.

    It is the smallest number with ENOUGH cells on the face, since large cells are more robust; cells have at least
    SMALLEST samples.
    """
    wanted = shorter / max(face * float(np.sqrt(_COVERED / ENOUGH)), SMALLEST)
    return min((count for count in COUNTS if count >= wanted), default=COUNTS[-1])


def grid(height: int, width: int, count: int, aspect: Fraction = Fraction(1)) -> WatermarkGrid:
    """Return the grid with `count` cells along the shorter side of the displayed frame, with pixel aspect `aspect`."""
    shown = width * aspect / height
    rows, columns = (count, round(count * shown)) if shown >= 1 else (round(count / shown), count)
    return WatermarkGrid(min(rows, _SIDE), min(columns, _SIDE), height, width)


def chips(rows: int, columns: int) -> Array:
    """Return the payload chip [rows, columns] that each cell votes for.

    A chip repeats after 17 cells and almost never earlier: any patch of that many cells contains all chips, and the
    groups of the payload in equal shares.
    """
    return (17 * np.arange(rows)[:, None] + np.arange(columns)[None]) % CHIPS


def signs(rows: int, columns: int) -> Array:
    """Return the scrambling signs [rows, columns] of -1 and 1, which prevent visible repetition."""
    return _scramble()[:rows, :columns]


def strengths(luma: Array, cells: WatermarkGrid) -> Array:
    """Return the signed RMS [rows, columns], in levels, of the wave in each cell of `luma` [height,width]."""
    return np.asarray(cells.down() @ luma.astype(np.float32) @ cells.across().T / cells.scale)


def luma_of(planes: Planes, colour: Colour) -> Array:
    """Return the luma float32 [H,W] in 8-bit levels; RGB is weighted by the colour's matrix."""
    unit = np.float32(1 / (1 << (planes.depth - 8)))
    if not is_rgb(planes):
        return planes.planes[0].astype(np.float32) * unit
    kr, kb = luma_weights(colour)
    green, blue, red = (plane.astype(np.float32) for plane in planes.planes[:3])
    return (np.float32(kr) * red + np.float32(1 - kr - kb) * green + np.float32(kb) * blue) * unit


def add(planes: Planes, colour: Colour, cells: WatermarkGrid, payload: Array, rect: Rect, weight: Array) -> Planes:
    """Return the frame with the watermark of `payload` [288] added inside `rect`, weighted by `weight` [h,w] in [0,1].

    Samples with weight 0 are kept bit for bit; the others stay in the legal range of the depth, extended by source
    samples beyond it. Chroma is unchanged (RGB gets the same difference in every channel).
    """
    x0, y0, x1, y1 = rect
    if weight.shape != (y1 - y0, x1 - x0):
        raise ValueError(f"the weight must be [{y1 - y0}, {x1 - x0}] for rect {rect}, got {weight.shape}")
    down, across = cells.down(y0, y1), cells.across(x0, x1)
    gain = down**2 @ weight @ (across**2).T
    held = strengths(luma_of(planes, colour), cells)
    wanted = payload[chips(cells.rows, cells.columns)] * signs(cells.rows, cells.columns)
    lacks = np.clip((TARGET - wanted * held) / np.maximum(gain, 0.5), 0, LIMIT) * (gain > _LEAST)
    delta = weight * (down.T @ (lacks * wanted * cells.scale) @ across)
    changed = 3 if is_rgb(planes) else 1
    marked = [_shifted(plane, planes.depth, colour, rect, delta, is_rgb(planes)) for plane in planes.planes[:changed]]
    return replace(planes, planes=(*marked, *planes.planes[changed:]), source=None)


def _shifted(plane: Array, depth: int, colour: Colour, rect: Rect, delta: Array, rgb: bool) -> Array:
    """Return a copy of one plane with `delta`, in 8-bit levels, added inside `rect`."""
    x0, y0, x1, y1 = rect
    offset, span, _, _ = sample_scale(replace(colour, full_range=colour.full_range or rgb), depth)
    old = plane[y0:y1, x0:x1].astype(np.int32)
    new = old + np.rint(delta * (1 << (depth - 8))).astype(np.int32)
    low, high = np.minimum(old, int(offset)), np.maximum(old, int(offset + span))
    copy = plane.copy()
    copy[y0:y1, x0:x1] = np.clip(new, low, high)
    return copy


@lru_cache(maxsize=32)
def _waves(cells: int, length: int) -> Array:
    """Return [cells, length] float32: for each cell one sine period of unit norm over its samples, 0 elsewhere."""
    place = (np.arange(length) + 0.5) * cells / length
    waves = np.zeros((cells, length), np.float32)
    waves[place.astype(int), np.arange(length)] = np.sin(2 * np.pi * (place % 1))
    return waves / np.maximum(np.linalg.norm(waves, axis=1, keepdims=True), 1e-6)


@lru_cache(maxsize=1)
def _scramble() -> Array:
    bits = np.frombuffer(hashlib.shake_256(b"vidinv watermark 1").digest(_SIDE * _SIDE // 8), np.uint8)
    return (1 - 2 * np.unpackbits(bits).astype(np.float32)).reshape(_SIDE, _SIDE)
