"""Convert a region of native YUV planes to RGB in floating point."""

from __future__ import annotations

import cv2
import numpy as np

from vidinv.frames import Array, Colour, Planes, Rect
from vidinv.media import tone

_LUMA = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593), "smpte240m": (0.212, 0.087)}


def luma_weights(colour: Colour) -> tuple[float, float]:
    """Return Kr and Kb of the colour's matrix (ITU-R BT.601, BT.709, BT.2020 non-constant luminance, SMPTE 240M)."""
    return _LUMA[colour.matrix]


def rgb_matrix(colour: Colour) -> Array:
    """Return the [3,3] float64 matrix from (Y in [0,1], Cb, Cr in [-0.5,0.5]) to RGB in [0,1]."""
    kr, kb = luma_weights(colour)
    kg = 1 - kr - kb
    return np.array(
        [
            [1, 0, 2 * (1 - kr)],
            [1, -2 * kb * (1 - kb) / kg, -2 * kr * (1 - kr) / kg],
            [1, 2 * (1 - kb), 0],
        ]
    )


def sample_scale(colour: Colour, depth: int) -> tuple[float, float, float, float]:
    """Return (luma offset, luma span, chroma offset, chroma span) in sample units at `depth` bits."""
    one = float(1 << (depth - 8))
    if colour.full_range:
        top = float((1 << depth) - 1)
        return 0.0, top, 128 * one, top
    return 16 * one, 219 * one, 128 * one, 224 * one


def align_rect(rect: Rect, planes: Planes) -> Rect:
    """Grow `rect` (luma samples) to whole chroma cells and clip it to the frame."""
    step_x, step_y = 1 << planes.sub_x, 1 << planes.sub_y
    x0, y0, x1, y1 = rect
    x0, y0 = max(0, x0 // step_x * step_x), max(0, y0 // step_y * step_y)
    x1, y1 = min(planes.width, -(-x1 // step_x) * step_x), min(planes.height, -(-y1 // step_y) * step_y)
    return x0, y0, max(x0, x1), max(y0, y1)


def is_rgb(planes: Planes) -> bool:
    """Return whether the planes are G, B, R rather than Y, Cb, Cr."""
    return planes.pix_fmt.startswith("gbr")


def to_rgb(planes: Planes, colour: Colour, rect: Rect | None = None) -> Array:
    """Return `rect` (chroma-aligned, half open; None = the whole frame) as RGB, float32 [h,w,3] in [0,1].

    For PQ and HLG it is the SDR picture of `vidinv.media.tone`. Alpha is ignored.
    """
    signal = signal_rgb(planes, colour, rect)
    return np.clip(tone.to_working(signal, colour), 0, 1).astype(np.float32) if tone.is_hdr(colour) else signal


def signal_rgb(planes: Planes, colour: Colour, rect: Rect | None = None) -> Array:
    """Return `rect` as RGB in the signal's own transfer and primaries, float32 [h,w,3] in [0,1].

    Chroma is upsampled bilinearly, sited at the cell's centre. Gray planes give three equal channels.
    """
    x0, y0, x1, y1 = rect or (0, 0, planes.width, planes.height)
    if is_rgb(planes):
        green, blue, red = (plane[y0:y1, x0:x1] for plane in planes.planes[:3])
        stacked = cv2.merge([np.ascontiguousarray(plane) for plane in (red, green, blue)])
        return stacked.astype(np.float32) / np.float32((1 << planes.depth) - 1)
    offset, span, centre, chroma_span = sample_scale(colour, planes.depth)
    luma = planes.planes[0][y0:y1, x0:x1].astype(np.float32)
    if len(planes.planes) == 1:
        gray = np.clip((luma - offset) / span, 0, 1)
        return cv2.merge([gray, gray, gray])
    cells = [_upsampled(plane, planes, (x0, y0, x1, y1)) for plane in planes.planes[1:3]]
    ycc = cv2.merge([luma, *cells])
    scaled = rgb_matrix(colour) / [span, chroma_span, chroma_span]
    shift = -scaled @ np.array([offset, centre, centre])
    rgb = cv2.transform(ycc, np.hstack([scaled, shift[:, None]]).astype(np.float32))
    return np.clip(rgb, 0, 1, out=rgb)


def _upsampled(plane: Array, planes: Planes, rect: Rect) -> Array:
    """Upsample the chroma of `rect` to luma size, float32 [h,w]; one cell around `rect` is included to avoid seams."""
    x0, y0, x1, y1 = rect
    sx, sy = planes.sub_x, planes.sub_y
    if sx == 0 and sy == 0:
        return plane[y0:y1, x0:x1].astype(np.float32)
    left, top = max(0, (x0 >> sx) - 1), max(0, (y0 >> sy) - 1)
    right, bottom = min(plane.shape[1], -(-x1 >> sx) + 1), min(plane.shape[0], -(-y1 >> sy) + 1)
    cells = plane[top:bottom, left:right].astype(np.float32)
    size = ((right - left) << sx, (bottom - top) << sy)
    full = cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR)
    dx, dy = x0 - (left << sx), y0 - (top << sy)
    return full[dy : dy + y1 - y0, dx : dx + x1 - x0]
