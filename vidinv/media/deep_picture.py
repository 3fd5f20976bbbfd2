"""Read and write pictures with 16 bits per sample, which Pillow reduces to 8 when they are in colour."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin

from vidinv import fileio
from vidinv.errors import InputUnreadable
from vidinv.frames import Array
from vidinv.media.picture_file import MOST_BYTES

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def is_deep(path: Path, file: Image.Image) -> bool:
    """Return whether the open picture at `path` has more than 8 bits per sample."""
    if file.format == "PNG":
        with fileio.open_regular(path) as stream:
            return stream.read(25)[24:] == b"\x10"  # the bit depth of the header chunk
    if isinstance(file, TiffImagePlugin.TiffImageFile):
        return max(file.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))) > 8
    return False


def read_deep(path: Path) -> tuple[Array, Array | None]:
    """Read uint16 samples [H,W,3] RGB or [H,W] gray, and alpha [H,W] or None. Raises InputUnreadable."""
    raw = _plain_png(fileio.read_regular(path, MOST_BYTES))
    try:
        found = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise InputUnreadable(f"{path} is not a readable picture", remedy="convert it to a .png") from error
    if found is None or found.dtype not in (np.uint8, np.uint16):
        raise InputUnreadable(f"{path} has samples of an unknown kind", remedy="convert it to 8 or 16 bits first")
    if found.dtype == np.uint8:
        found = found.astype(np.uint16) * 257
    if found.ndim == 2:
        return found, None
    blue, green, red, *alpha = np.moveaxis(found, 2, 0)
    opacity = np.ascontiguousarray(alpha[0]) if alpha else None
    if _is_gray_png(raw):
        return np.ascontiguousarray(green), opacity
    return np.ascontiguousarray(np.stack([red, green, blue], 2)), opacity


def _plain_png(raw: bytes) -> bytes:
    """Return a PNG, which Pillow has read, without all but its pixels: OpenCV crashes on damaged animations."""
    if not raw.startswith(_SIGNATURE):
        return raw
    return _SIGNATURE + b"".join(c for c in _chunks(raw) if c[4:8] in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"))


def _is_gray_png(raw: bytes) -> bool:
    """Return whether the bytes are those of a PNG with one colour channel."""
    return raw.startswith(_SIGNATURE) and raw[25:26] in (b"\0", b"\4")


def replace_png_pixels(path: Path, samples: Array, alpha: Array | None) -> None:
    """Replace header and pixels of the PNG at `path` by uint16 `samples` [H,W,3] or [H,W]; its other chunks stay.

    Raises OSError.
    """
    if alpha is not None and samples.ndim == 2:
        samples = np.repeat(samples[:, :, None], 3, 2)  # OpenCV writes gray without alpha only
    bgr = samples if samples.ndim == 2 else samples[:, :, ::-1]
    if alpha is not None:
        bgr = np.dstack([bgr, alpha])
    _, deep = cv2.imencode(".png", np.ascontiguousarray(bgr))
    head, *pixels = [chunk for chunk in _chunks(deep.tobytes()) if chunk[4:8] in (b"IHDR", b"IDAT")]
    others = [chunk for chunk in _chunks(path.read_bytes()) if chunk[4:8] not in (b"IHDR", b"IDAT", b"IEND", b"tRNS")]
    end = struct.pack(">L4sL", 0, b"IEND", 0xAE426082)
    path.write_bytes(b"".join([_SIGNATURE, head, *others, *pixels, end]))


def _chunks(png: bytes) -> list[bytes]:
    """Split a PNG into its chunks, each with length, kind and checksum."""
    found, place = [], len(_SIGNATURE)
    while place + 8 <= len(png):
        (length,) = struct.unpack_from(">L", png, place)
        found.append(png[place : place + length + 12])
        place += length + 12
    return found
