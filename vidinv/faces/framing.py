"""Compute the crop transform from landmarks or box corners, by one of several alignment strategies.

`ffhq` uses a face's landmarks. `center` and `none` use the corners [4,2] of a box (top left, bottom left, bottom
right, top right, as the picture is displayed) in place of landmarks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from vidinv.faces import alignment, similarity
from vidinv.frames import Array

Framing = Callable[[Array, int], Array]  # landmarks [P,2], size -> [2,3] from the crop's pixel centres to the frame's
CORNERS = 4
NAMES = ("ffhq", "center", "none")


def framing_by_name(name: str, margin: float = 1.0) -> Framing:
    """Return the strategy of that name, one of NAMES; `margin` applies to `center` only."""
    if name == "ffhq":
        return alignment.to_frame
    return partial(center, margin=margin) if name == "center" else stretched_box


def center(corners: Array, size: int, margin: float = 1.0) -> Array:
    """Return an upright square around the centre of a box, `margin` times its longer side, without any rotation."""
    top_left, bottom_left, bottom_right, top_right = corners.astype(np.float64)
    middle = (top_left + bottom_right) / 2
    x, y = top_right - top_left, bottom_left - top_left
    half = margin * max(np.hypot(*x), np.hypot(*y)) / 2
    across = half * x / max(float(np.hypot(*x)), 1e-9)
    down = np.array([-across[1], across[0]])
    square = [middle - across - down, middle - across + down, middle + across + down, middle + across - down]
    return similarity.fit(_edges(size), np.stack(square))


def stretched_box(corners: Array, size: int) -> Array:
    """Return the affine map that scales the box's two sides to those of the crop (not a similarity)."""
    top_left, bottom_left, _, top_right = corners.astype(np.float64)
    linear = np.stack([top_right - top_left, bottom_left - top_left], axis=1) / size
    return np.concatenate([linear, (top_left - linear @ _edges(size)[0])[:, None]], axis=1)


def corners(boxes: Array, rotation: int = 0) -> Array:
    """Convert boxes [N,4] (x0, y0, x1, y1, pixel edges) in coded pixels to corners [N,4,2], pixel centres.

    The first corner is the top left one of the displayed picture, which is rotated clockwise by `rotation` degrees.
    """
    x0, y0, x1, y1 = np.asarray(boxes, np.float32).reshape(-1, 4).T - 0.5
    points = np.stack([np.stack(pair, 1) for pair in ((x0, y0), (x0, y1), (x1, y1), (x1, y0))], 1)
    return np.roll(points, -(rotation // 90), axis=1)


def _edges(size: int) -> Array:
    """Return the corners of a crop, at the outer edges of its corner pixels."""
    edge = size - 0.5
    return np.array([(-0.5, -0.5), (-0.5, edge), (edge, edge), (edge, -0.5)])
