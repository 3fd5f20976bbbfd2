"""Random legal samples of a pixel format."""

from __future__ import annotations

import numpy as np

from vidinv.frames import Planes
from vidinv.media.formats import layout


def noise_planes(pix_fmt: str, size: tuple[int, int] = (38, 30), seed: int = 0) -> Planes:
    """Random legal samples, `size` = (width, height)."""
    rng = np.random.default_rng(seed)
    shape = layout(pix_fmt)
    dtype = np.uint8 if shape.depth <= 8 else np.uint16
    planes = []
    for number in range(shape.count):
        sx, sy = (shape.sub_x, shape.sub_y) if number else (0, 0)
        extent = (-(-size[1] >> sy), -(-size[0] >> sx))
        planes.append(rng.integers(16 << (shape.depth - 8), 235 << (shape.depth - 8), extent).astype(dtype))
    return Planes(tuple(planes), pix_fmt, shape.sub_x, shape.sub_y, shape.depth)
