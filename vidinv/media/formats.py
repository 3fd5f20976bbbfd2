"""Describe the planar pixel formats that the pipeline processes, and map other formats to them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from av.video.format import VideoFormat

# The planar format that holds the same samples as each semi-planar or packed format.
LOSSLESS = {
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "nv24": "yuv444p",
    "p010le": "yuv420p10le",
    "p012le": "yuv420p12le",
    "p016le": "yuv420p16le",
    "p210le": "yuv422p10le",
    "nv20le": "yuv422p10le",
    "yuyv422": "yuv422p",
    "uyvy422": "yuv422p",
    "y210le": "yuv422p10le",
    "rgb48le": "gbrp16le",
    "bgr48le": "gbrp16le",
    "rgba64le": "gbrap16le",
    "x2rgb10le": "gbrp10le",
}
_PLANAR = re.compile(r"(yuvj?(420|422|444|440|411|410)p|yuva(420|422|444)p|gbra?p|gray)(9|10|12|14|16)?(le)?")


@dataclass(frozen=True)
class PlaneLayout:
    """A planar format: log2 chroma shifts, bits per sample, plane count, whether it is RGB, whether alpha is last."""

    name: str
    sub_x: int
    sub_y: int
    depth: int
    count: int
    is_rgb: bool
    has_alpha: bool


@lru_cache
def layout(name: str) -> PlaneLayout:
    """Return the layout of the planar format `name` (as FFmpeg spells it)."""
    parts = VideoFormat(name, 64, 64).components
    chroma = parts[1] if len(parts) > 1 else parts[0]
    return PlaneLayout(
        name=name,
        sub_x=(64 // chroma.width).bit_length() - 1,
        sub_y=(64 // chroma.height).bit_length() - 1,
        depth=parts[0].bits,
        count=len(parts),
        is_rgb=name.startswith("gbr"),
        has_alpha=any(part.is_alpha for part in parts),
    )


@lru_cache
def planar(name: str) -> str:
    """Return the planar format to which frames of format `name` are converted; a planar format stays itself.

    RGB, and gray with alpha, become planar RGB; others become YUV of their subsampling and depth. Alpha is kept.
    """
    if _PLANAR.fullmatch(name):
        return name
    if name in LOSSLESS:
        return LOSSLESS[name]
    form = VideoFormat(name, 64, 64)
    depth = max((part.bits for part in form.components), default=8)
    suffix = "" if depth <= 8 else f"{next(bits for bits in (10, 12, 14, 16, 32) if bits >= depth)}le"
    has_alpha = any(part.is_alpha for part in form.components) and not form.has_palette
    if has_alpha:
        return f"gbrap{suffix}" if form.is_rgb or len(form.components) == 2 else f"yuva444p{suffix}"
    if form.is_rgb or form.has_palette:
        return f"gbrp{suffix}"
    if len(form.components) <= 2:
        return f"gray{suffix}"
    chroma = form.components[1]
    shape = {(64, 64): "444", (32, 64): "422", (32, 32): "420"}.get((chroma.width, chroma.height), "444")
    return f"yuv{shape}p{suffix}"


def without_range(name: str) -> str:
    """Return the format name that encoders accept: `yuvj420p` is `yuv420p` with a full-range tag."""
    return name.replace("yuvj", "yuv")
