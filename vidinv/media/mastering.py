"""Read HDR mastering metadata from a frame and format it as encoder parameters."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import av

from vidinv.media.source import side_data

_DYNAMIC = {"DYNAMIC_HDR_PLUS": "HDR10+", "DOVI_RPU_BUFFER": "Dolby Vision", "DOVI_METADATA": "Dolby Vision"}


@dataclass(frozen=True)
class Mastering:
    """HDR mastering metadata of SMPTE ST 2086 and CTA-861.3; a field is empty if the source lacks it.

    `primaries` are x, y of red, green, blue and white (8 numbers), `luminance` the minimum and maximum in cd/m2,
    `light` the maximum pixel and frame-average level in cd/m2, `dynamic` the names of per-frame metadata, which no
    supported encoder writes.
    """

    primaries: tuple[float, ...] = ()
    luminance: tuple[float, ...] = ()
    light: tuple[int, ...] = ()
    dynamic: tuple[str, ...] = ()


def mastering_of(frame: av.VideoFrame) -> Mastering:
    """Return the mastering metadata in the frame's side data."""
    data = side_data(frame)
    primaries: tuple[float, ...] = ()
    luminance: tuple[float, ...] = ()
    light: tuple[int, ...] = ()
    if (item := data.get("MASTERING_DISPLAY_METADATA")) is not None:
        *numbers, has_primaries, has_luminance = struct.unpack("=22i", bytes(item)[:88])  # AVMasteringDisplayMetadata
        values = [over / max(under, 1) for over, under in zip(numbers[::2], numbers[1::2], strict=True)]
        primaries = tuple(values[:8]) if has_primaries else ()
        luminance = tuple(values[8:]) if has_luminance else ()
    if (item := data.get("CONTENT_LIGHT_LEVEL")) is not None:
        light = struct.unpack("=2I", bytes(item)[:8])  # AVContentLightMetadata
    dynamic = sorted({name for kind, name in _DYNAMIC.items() if data.get(kind) is not None})
    return Mastering(primaries, luminance, light, tuple(dynamic))


def encoder_parameters(encoder: str, mastering: Mastering) -> list[str]:
    """Return the encoder's `key=value` settings that write the metadata; empty if it has no such settings."""
    if encoder not in _KEYS:
        return []
    display, light = _KEYS[encoder]
    found = []
    if mastering.primaries and mastering.luminance:
        as_text = _plain if encoder == "libsvtav1" else _steps
        found.append(f"{display}={as_text(mastering)}")
    if mastering.light:
        found.append(f"{light}={mastering.light[0]},{mastering.light[1]}")
    return found


_KEYS = {
    "libx264": ("mastering-display", "cll"),
    "libx265": ("master-display", "max-cll"),
    "libsvtav1": ("mastering-display", "content-light"),
}


def _steps(mastering: Mastering) -> str:
    """x264's and x265's spelling: chromaticities in 1/50000, luminance in 1/10000 cd/m2."""
    red, green, blue, white = ([round(50000 * v) for v in mastering.primaries[i : i + 2]] for i in (0, 2, 4, 6))
    least, most = (round(10000 * value) for value in mastering.luminance)
    named = zip("GBR", (green, blue, red), strict=True)
    return "".join(f"{name}({x},{y})" for name, (x, y) in named) + f"WP({white[0]},{white[1]})L({most},{least})"


def _plain(mastering: Mastering) -> str:
    """Format the mastering display for SVT-AV1, in plain numbers."""
    red, green, blue, white = (mastering.primaries[i : i + 2] for i in (0, 2, 4, 6))
    least, most = mastering.luminance
    named = zip("GBR", (green, blue, red), strict=True)
    shown = "".join(f"{name}({x:.5f},{y:.5f})" for name, (x, y) in named)
    return f"{shown}WP({white[0]:.5f},{white[1]:.5f})L({most:.4f},{least:.4f})"
