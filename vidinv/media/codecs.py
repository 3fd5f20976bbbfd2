"""Codec names a person gives, the encoder and settings each stands for, and the containers that hold it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import av

from vidinv.errors import UsageError
from vidinv.media import formats

_SUFFIXES = {
    "h264": (".mp4", ".mov", ".mkv"),
    "hevc": (".mp4", ".mov", ".mkv"),
    "vp9": (".mp4", ".mkv", ".webm"),
    "av1": (".mp4", ".mkv", ".webm"),
    "ffv1": (".mp4", ".mkv"),
}
_ENCODERS = {"h264": "libx264", "hevc": "libx265", "vp9": "libvpx-vp9", "av1": "libsvtav1", "ffv1": "ffv1"}
NAMES = ("auto", *_ENCODERS, "lossless")


@dataclass(frozen=True)
class Choice:
    """One encoder with its sample format and options; `codec` is the short name ("h264", "hevc", ...)."""

    codec: str
    encoder: str
    pix_fmt: str
    options: dict[str, str] = field(default_factory=dict)


def resolve(codec: str, pix_fmt: str) -> str:
    """The codec that `codec` means for planes of `pix_fmt`: auto is H.264 at 8 bits, HEVC above or for RGB."""
    if codec not in NAMES:
        raise UsageError(f"unknown codec {codec!r}", remedy=f"choose one of {', '.join(NAMES)}")
    if codec == "lossless":
        return "ffv1"
    if codec == "auto":
        shape = formats.layout(pix_fmt)
        return "hevc" if shape.depth > 8 or shape.is_rgb else "h264"
    return codec


def choose(codec: str, pix_fmt: str, *, crf: int, threads: int) -> Choice:
    """Encoder, sample format and options for `codec`; UsageError when the encoder would lose depth or chroma.

    No encoder reorders frames (no B-frames), so dts = pts, every pts survives, and segments concatenate.
    """
    name = resolve(codec, pix_fmt)
    encoder = _ENCODERS[name]
    options = {
        "h264": {"crf": str(crf), "bf": "0", "preset": "medium"},
        "hevc": {
            "crf": str(crf),
            "preset": "fast",
            "x265-params": f"bframes=0:open-gop=0:log-level=error:pools={threads}:frame-threads=1",
        },
        "vp9": {"crf": str(crf + 8), "b": "0", "row-mt": "1", "cpu-used": "4", "auto-alt-ref": "0", "deadline": "good"},
        "av1": {"crf": str(crf + 10), "preset": "8", "svtav1-params": f"lp={threads}"},
        "ffv1": {"level": "3", "g": "1", "slicecrc": "1", "slices": "4"},
    }[name]
    return Choice(name, encoder, _encoder_format(name, encoder, pix_fmt), options)


def check_container(codec: str, pix_fmt: str, output: Path) -> None:
    """Raise UsageError when the container named by `output`'s suffix cannot hold `codec`."""
    name = resolve(codec, pix_fmt)
    allowed = _SUFFIXES[name]
    if output.suffix.lower() not in allowed:
        raise UsageError(
            f"{output.suffix or 'a name without suffix'} cannot hold {name} video ({output.name})",
            remedy=f"name the output {' or '.join(output.stem + suffix for suffix in allowed)}",
        )


def _encoder_format(name: str, encoder: str, pix_fmt: str) -> str:
    """The encoder's format that holds `pix_fmt` without loss: itself, or the least one above it."""
    wanted = formats.without_range(pix_fmt)
    known = [form.name for form in av.Codec(encoder, "w").video_formats or []]
    if wanted in known:
        return wanted
    if wanted == "gbrp" and "bgr0" in known:
        return "bgr0"
    need = formats.layout(wanted)
    fits = []
    for other in known:
        if formats.planar(other) != other or formats.without_range(other) != other:
            continue
        has = formats.layout(other)
        if (
            has.is_rgb == need.is_rgb
            and has.depth >= need.depth
            and has.count >= need.count
            and has.sub_x <= need.sub_x
            and has.sub_y <= need.sub_y
        ):
            fits.append((has.depth, -has.sub_x - has.sub_y, other))
    if not fits:
        raise UsageError(f"{name} cannot hold {pix_fmt} video without loss of depth or chroma", remedy="use lossless")
    return min(fits)[2]
