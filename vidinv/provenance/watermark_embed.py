"""The watermark as samples: one small oblique wave in every cell of a grid over the frame, up or down.

The shown frame is cut into cells, `count` of them along its shorter side. In each the luma is multiplied with
u(x, y) = sin(2 pi x) sin(2 pi y), x and y from 0 to 1 across the cell: blind to the cell's brightness and slope, and
oblique, of which pictures hold little. The sign of the product is the cell's vote for a chip of the payload. Whoever
marks sees the picture and adds just as much of u as the vote still lacks (informed spread spectrum, after Malvar and
Florencio 2003), in the edited samples alone. The grid belongs to the frame, not to the face: no network is needed to
read it, and scaling the whole frame does not move it; cropping does.
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

# Cells along the shorter side, of the grids that a reader tries
COUNTS = (24, 32, 40, 50, 64, 80, 100, 128, 160)
TARGET, LIMIT = 1.7, 2.6  # wanted strength of a cell's vote and most that is added, RMS in 8-bit levels
ENOUGH, SMALLEST = 330, 7.0  # cells on a face, samples along a cell
_COVERED = 0.3  # share of a face's crop that its mask covers
_SIDE = 1024  # no grid has more cells
_LEAST = 0.25  # a cell of which less is edited is left alone


@dataclass(frozen=True)
class WatermarkGrid:
    """`rows` x `columns` cells over a frame of `height` x `width` samples."""

    rows: int
    columns: int
    height: int
    width: int

    @property
    def scale(self) -> float:
        """What a product with unit waves is divided by to count in levels: the square root of a cell's area."""
        return float(np.sqrt(self.height / self.rows * self.width / self.columns))

    def down(self, first: int = 0, stop: int | None = None) -> Array:
        """[rows, stop-first] the waves of the rows, each of unit norm, at samples `first` to `stop`."""
        return _waves(self.rows, self.height)[:, first:stop]

    def across(self, first: int = 0, stop: int | None = None) -> Array:
        """[columns, stop-first] the same of the columns."""
        return _waves(self.columns, self.width)[:, first:stop]


def count_for(shorter: int, face: float) -> int:
    """Cells along the shorter side of a frame, of `shorter` samples, for a face whose crop has a side of `face`.

    The fewest that put ENOUGH cells on the face, since large ones bear more, but none of less than SMALLEST samples.
    """
    wanted = shorter / max(face * float(np.sqrt(_COVERED / ENOUGH)), SMALLEST)
    return min((count for count in COUNTS if count >= wanted), default=COUNTS[-1])


def grid(height: int, width: int, count: int, aspect: Fraction = Fraction(1)) -> WatermarkGrid:
    """The grid with `count` cells along the shorter side of a frame as shown, with pixels of `aspect`."""
    shown = width * aspect / height
    rows, columns = (count, round(count * shown)) if shown >= 1 else (round(count / shown), count)
    return WatermarkGrid(min(rows, _SIDE), min(columns, _SIDE), height, width)


def chips(rows: int, columns: int) -> Array:
    """[rows, columns] which chip of the payload each cell votes for.

    A chip comes again 17 cells further and nearly nowhere before: any patch of so many cells has all of them, and the
    groups of the payload in equal shares.
    """
    return (17 * np.arange(rows)[:, None] + np.arange(columns)[None]) % CHIPS


def signs(rows: int, columns: int) -> Array:
    """[rows, columns] of -1 and 1 by which the votes are scrambled, so that no pattern repeats."""
    return _scramble()[:rows, :columns]


def strengths(luma: Array, cells: WatermarkGrid) -> Array:
    """[rows, columns] RMS in levels, with its sign, of the wave that each cell of `luma` [height,width] holds."""
    return np.asarray(cells.down() @ luma.astype(np.float32) @ cells.across().T / cells.scale)


def luma_of(planes: Planes, colour: Colour) -> Array:
    """float32 [H,W]: luma in 8-bit levels, of RGB weighted as the colour's matrix says."""
    unit = np.float32(1 / (1 << (planes.depth - 8)))
    if not is_rgb(planes):
        return planes.planes[0].astype(np.float32) * unit
    kr, kb = luma_weights(colour)
    green, blue, red = (plane.astype(np.float32) for plane in planes.planes[:3])
    return (np.float32(kr) * red + np.float32(1 - kr - kb) * green + np.float32(kb) * blue) * unit


def add(planes: Planes, colour: Colour, cells: WatermarkGrid, payload: Array, rect: Rect, weight: Array) -> Planes:
    """The frame with the mark that says `payload` [288] added inside `rect`, as much as `weight` [h,w] in [0,1] allows.

    Samples where the weight is 0 are kept bit for bit; the others stay in the legal range of the depth, widened by what
    lies beyond it. Chroma is never changed (RGB gets the same difference in every channel).
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
    """A copy of one plane with `delta`, in 8-bit levels, added inside `rect`."""
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
    """[cells, length] float32: of each cell one period of a sine over its samples, of unit norm, 0 elsewhere."""
    place = (np.arange(length) + 0.5) * cells / length
    waves = np.zeros((cells, length), np.float32)
    waves[place.astype(int), np.arange(length)] = np.sin(2 * np.pi * (place % 1))
    return waves / np.maximum(np.linalg.norm(waves, axis=1, keepdims=True), 1e-6)


@lru_cache(maxsize=1)
def _scramble() -> Array:
    bits = np.frombuffer(hashlib.shake_256(b"vidinv watermark 1").digest(_SIDE * _SIDE // 8), np.uint8)
    return (1 - 2 * np.unpackbits(bits).astype(np.float32)).reshape(_SIDE, _SIDE)
