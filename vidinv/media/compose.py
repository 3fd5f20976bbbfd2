"""Composite onto native planes: add an RGB difference to the source's own samples inside a rectangle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vidinv.compiled import compiled
from vidinv.frames import Array, Colour, Planes, Rect
from vidinv.media import tone
from vidinv.media.colour import is_rgb, luma_weights, sample_scale, signal_rgb

NEUTRAL = 2  # distance from gray, of 256 levels, that compression adds to black and white pictures
OUTLIERS = 0.002  # share of samples that may be further away


def add_delta(planes: Planes, colour: Colour, rect: Rect, delta: Array) -> Planes:
    """Return the frame plus `delta` inside `rect`; samples outside it, or whose change rounds to 0, are unchanged.

    `delta` [h,w,3] is a difference of `colour.to_rgb` pictures with blend weights already applied; `rect` is
    chroma-aligned (see `colour.align_rect`). For PQ and HLG the difference is first converted to the signal. It is
    converted to Y, Cb, Cr (linear, so no offset), averaged over each chroma cell, added, rounded, and clipped to the
    legal range of the depth; source samples already beyond that range extend it.
    Planes without a changed sample, and alpha, are shared with `planes`. Raises ValueError for a wrong shape or rect.
    """
    x0, y0, x1, y1 = rect
    if delta.shape != (y1 - y0, x1 - x0, 3):
        raise ValueError(f"delta must be [{y1 - y0}, {x1 - x0}, 3] for rect {rect}, got {delta.shape}")
    if x0 % (1 << planes.sub_x) or y0 % (1 << planes.sub_y):
        raise ValueError(f"rect {rect} is not aligned to the chroma of {planes.pix_fmt}")
    if x0 < 0 or y0 < 0 or x1 > planes.width or y1 > planes.height:
        raise ValueError(f"rect {rect} leaves the {planes.width}x{planes.height} frame")
    if tone.is_hdr(colour):
        delta = tone.signal_delta(signal_rgb(planes, colour, rect), delta, colour)
    delta = np.ascontiguousarray(delta, dtype=np.float32)
    out = []
    for number, (plane, weights) in enumerate(zip(planes.planes[:3], _weights(planes, colour), strict=True)):
        sx, sy = (planes.sub_x, planes.sub_y) if number else (0, 0)
        region = plane[y0 >> sy : -(-y1 >> sy), x0 >> sx : -(-x1 >> sx)]
        low, high = _legal(planes, colour, number)
        changed = np.empty(region.shape, region.dtype)
        if _add(region, changed, delta, weights, sx, sy, low, high):
            copy = plane.copy()
            copy[y0 >> sy : -(-y1 >> sy), x0 >> sx : -(-x1 >> sx)] = changed
            plane = copy
        out.append(plane)
    out += planes.planes[3:]
    if all(new is old for new, old in zip(out, planes.planes, strict=True)):
        return planes
    return replace(planes, planes=tuple(out))


def without_colour(planes: Planes, colour: Colour, rect: Rect, delta: Array) -> Array:
    """Return `delta` [h,w,3], or, where the source is neutral inside `rect`, its luma in all three channels."""
    if len(planes.planes) < 3 or not is_neutral(planes, colour, rect):
        return delta
    kr, kb = luma_weights(colour)
    luma = delta @ np.array([kr, 1 - kr - kb, kb], dtype=delta.dtype)
    return np.repeat(luma[:, :, None], 3, axis=2)


def is_neutral(planes: Planes, colour: Colour, rect: Rect) -> bool:
    """Return whether the source has no colour inside `rect`: nearly all chroma within NEUTRAL of gray, or R = G = B."""
    x0, y0, x1, y1 = rect
    if is_rgb(planes):
        green, blue, red = (plane[y0:y1, x0:x1].astype(np.int32) for plane in planes.planes[:3])
        apart = [np.abs(blue - green), np.abs(red - green)]
    else:
        sx, sy = planes.sub_x, planes.sub_y
        gray = round(sample_scale(colour, planes.depth)[2])
        regions = (plane[y0 >> sy : -(-y1 >> sy), x0 >> sx : -(-x1 >> sx)] for plane in planes.planes[1:3])
        apart = [np.abs(region.astype(np.int32) - gray) for region in regions]
    most = NEUTRAL * (1 << planes.depth) / 256
    return all(float((each > most).mean()) <= OUTLIERS for each in apart if each.size)


def _weights(planes: Planes, colour: Colour) -> Array:
    """Return [P,3] float64: what one unit of R, G and B adds to each plane, in sample units."""
    if is_rgb(planes):
        top = float((1 << planes.depth) - 1)
        return np.array([[0, top, 0], [0, 0, top], [top, 0, 0]])
    kr, kb = luma_weights(colour)
    _, span, _, chroma_span = sample_scale(colour, planes.depth)
    luma = np.array([kr, 1 - kr - kb, kb])
    blue = (np.array([0.0, 0, 1]) - luma) / (2 * (1 - kb)) * chroma_span
    red = (np.array([1.0, 0, 0]) - luma) / (2 * (1 - kr)) * chroma_span
    return np.stack([luma * span, blue, red])[: min(3, len(planes.planes))]


def _legal(planes: Planes, colour: Colour, number: int) -> tuple[int, int]:
    """Return the lowest and highest legal sample of plane `number`."""
    if colour.full_range or is_rgb(planes):
        return 0, (1 << planes.depth) - 1
    return 16 << (planes.depth - 8), (240 if number else 235) << (planes.depth - 8)


@compiled
def _add(
    source: Array, out: Array, delta: Array, weights: Array, sub_x: int, sub_y: int, low: int, high: int
) -> bool:  # pragma: no cover - compiled
    """Compute out = source + weighted cell mean of delta for one plane's region [h,w]; True if any sample changed."""
    height, width = delta.shape[:2]
    changed = False
    for y in range(source.shape[0]):
        top, bottom = y << sub_y, min((y + 1) << sub_y, height)
        for x in range(source.shape[1]):
            left, right = x << sub_x, min((x + 1) << sub_x, width)
            total = 0.0
            for row in range(top, bottom):
                for column in range(left, right):
                    for channel in range(3):
                        total += weights[channel] * delta[row, column, channel]
            old = np.int64(source[y, x])
            new = np.int64(np.floor(old + total / ((bottom - top) * (right - left)) + 0.5))
            new = max(min(new, max(np.int64(high), old)), min(np.int64(low), old))
            out[y, x] = new
            changed |= new != old
    return changed
