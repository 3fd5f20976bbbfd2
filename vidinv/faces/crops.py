"""Locate aligned face crops in their frames and read their pixels from the source's native planes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vidinv.faces import alignment
from vidinv.frames import Array, Colour, FrameBatch, Planes, Rect
from vidinv.media import colour as colours
from vidinv.media import reader

WantedCrops = Mapping[tuple[int, int], Array]  # (frame, track) -> to_frame [2,3] of its crop


def aligned_faces(
    source: Path, wanted: WantedCrops, size: int, stream: int | None = None
) -> Iterator[tuple[FrameBatch, tuple[int, int], Tensor]]:
    """Yield the frame, (frame, track) and aligned face [1,3,size,size] in [-1,1] of each wanted crop, by frame.

    `stream` is the number of the source's video stream (None: chosen).
    """
    here: dict[int, list[tuple[int, int]]] = {}
    for key in sorted(wanted):
        here.setdefault(key[0], []).append(key)
    for batch in reader.read_frames(source, batch=1, stream=stream):
        for key in here.pop(batch.index[0], []):
            face = torch.from_numpy(crop(batch.native[0], batch.colour, wanted[key], size))
            yield batch, key, face.permute(2, 0, 1)[None] * 2 - 1  # HWC -> 1CHW
        if not here:
            return


def evenly_spaced(count: int, among: int) -> list[int]:
    """Return up to `count` evenly spaced numbers from 0 to `among` - 1, both ends included."""
    return sorted({round(place) for place in np.linspace(0, among - 1, min(count, among)).tolist()})


def rescale(to_frame: Array, crop_size: int, size: int) -> Array:
    """Convert the transform [2,3] of a `crop_size` crop to that of a crop of side `size`, pixel centres at integers."""
    ratio = crop_size / size
    shift = (ratio - 1) / 2  # centre of pixel 0 of the new crop in the old one
    scaled = to_frame.astype(np.float64).copy()
    scaled[:, 2] += to_frame[:, :2] @ np.array([shift, shift])
    scaled[:, :2] *= ratio
    return scaled


def quad_rect(to_frame: Array, box: tuple[float, float, float, float], planes: Planes, margin: int = 4) -> Rect | None:
    """Return the frame rectangle around the crop-space `box` (x0, y0, x1, y1), clipped to the frame, or None."""
    x0, y0, x1, y1 = box
    corners = np.array([[x0, y0, 1], [x1, y0, 1], [x1, y1, 1], [x0, y1, 1]]) @ to_frame.T  # [4,2]
    left, top = np.floor(corners.min(0)).astype(int) - margin
    right, bottom = np.ceil(corners.max(0)).astype(int) + margin + 1
    left, top = max(left, 0), max(top, 0)
    right, bottom = min(right, planes.width), min(bottom, planes.height)
    if left >= right or top >= bottom:
        return None
    return colours.align_rect((int(left), int(top), int(right), int(bottom)), planes)


def crop(planes: Planes, colour: Colour, to_frame: Array, size: int) -> Array:
    """Return one aligned face, float32 [size,size,3] in [0,1]; only the face's rectangle is converted to RGB."""
    rect = quad_rect(to_frame, (0, 0, size - 1, size - 1), planes)
    if rect is None:
        return np.zeros((size, size, 3), np.float32)
    rgb = colours.to_rgb(planes, colour, rect)
    local = to_frame.astype(np.float64).copy()
    local[:, 2] -= rect[:2]
    return np.asarray(alignment.warp_cpu(rgb, local, size), np.float32)


def mask_box(alpha: Array) -> tuple[float, float, float, float] | None:
    """Return x0, y0, x1, y1 (crop pixel centres, inclusive) of the samples with visible weight, or None."""
    rows, columns = np.nonzero((alpha > 1 / 1024).any(1))[0], np.nonzero((alpha > 1 / 1024).any(0))[0]
    if len(rows) == 0:
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1]), float(rows[-1])
