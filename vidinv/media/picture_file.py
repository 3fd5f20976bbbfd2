"""Open a picture that somebody hands over: regular files in a few formats, with bounded pixels and metadata.

All reading of pictures goes through here. Pillow alone would open some forty formats, one of which (PostScript) is a
program that it runs. Pixels of PNG are read by Pillow and not by OpenCV, whose reader of animated PNG (5.0.0) crashes
on a damaged file; both give the same pixels.
"""

from __future__ import annotations

import io
import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import ExifTags, Image

from vidinv import extras, fileio
from vidinv.errors import InputUnreadable
from vidinv.frames import Array
from vidinv.media.picture_bounds import OverLimit, check_exif, check_metadata
from vidinv.media.source import MAX_PIXELS, error_reason

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "AVIF", "GIF")  # Pillow's names
BY_PILLOW = ("PNG", "TIFF", "AVIF", "GIF", "HEIF")  # whose pixels OpenCV does not read, or not safely
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")  # brands of a HEIF file with HEVC pictures
MOST_BYTES = 1 << 28
PLAIN_PIXELS = 1 << 25  # a picture of more is refused if its file is too small to be one
MOST_PIXELS_PER_BYTE = 100
DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")  # Pillow's modes of more than 8 bits
_REMEDY = "give a .jpg, .png, .webp, .bmp, .tiff, .avif or .gif"
_FAILURES = (
    *(
        OSError,
        ValueError,
        SyntaxError,
        TypeError,
        KeyError,
        IndexError,
        struct.error,
        RuntimeError,
    ),  # the last by AVIF
    Image.DecompressionBombError,
)


@contextmanager
def opening_picture(path: Path) -> Iterator[Image.Image]:
    """Open the picture at `path` for reading with Pillow; its pixels are decoded, its EXIF is safe to parse.

    Raises InputUnreadable for a folder, a pipe or a device, for another format than FORMATS, for more than MOST_BYTES
    or MAX_PIXELS, for metadata over the limits of `picture_bounds`, and for what Pillow cannot read, also in the body.
    """
    try:
        with fileio.open_regular(path) as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about broken EXIF and large pictures
            with _identified(stream, os.fstat(stream.fileno()).st_size) as file:
                _load(file)
                yield file
    except _FAILURES as error:
        raise _unreadable(path, error) from error


def is_still(path: Path) -> bool:
    """Return whether the file at `path` is a picture of one of FORMATS with a single frame; only its head is read."""
    try:
        with fileio.open_regular(path) as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _identified(stream, os.fstat(stream.fileno()).st_size) as file:
                return file.format == "MPO" or not getattr(file, "is_animated", False)
    except _FAILURES:
        return False


def read_rgb(path: Path) -> Array:
    """Read a picture as RGB uint8 [H,W,3], upright. Raises InputUnreadable, as `opening_picture` does."""
    try:
        raw = fileio.read_regular(path, MOST_BYTES)
    except OSError as error:
        raise _unreadable(path, error) from error
    return decode_rgb(raw, path)


def decode_rgb(raw: bytes, name: Path) -> Array:
    """Decode the bytes of a picture file to RGB uint8 [H,W,3], upright. Raises InputUnreadable, which gives `name`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _identified(io.BytesIO(raw), len(raw)) as file:
                if file.format in BY_PILLOW:
                    _load(file)
                    return turn_upright(_colours(file), orientation(file))
        bgr = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR)
    except (*_FAILURES, cv2.error) as error:
        raise _unreadable(name, error) from error
    if bgr is None:
        raise InputUnreadable(f"{name} is not a readable picture", remedy=_REMEDY)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def orientation(file: Image.Image) -> int:
    """Return the EXIF orientation, or 1 (upright) if none can be read."""
    try:
        return int(file.getexif().get(ExifTags.Base.Orientation, 1))
    except (ValueError, TypeError, AttributeError, KeyError, SyntaxError, struct.error):
        return 1


def turn_upright(samples: Array, orientation: int) -> Array:
    """Return the samples [H,W,...] of a picture with this EXIF orientation, upright."""
    if orientation in (5, 6, 7, 8):
        samples = samples.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return np.ascontiguousarray(samples)


def _load(file: Image.Image) -> None:
    """Decode the pixels of a picture and check what its palette and its EXIF hold."""
    file.load()
    if file.mode in ("P", "PA") and file.palette is None:
        raise OverLimit("its pixels name colours of a palette that it lacks")
    check_exif(_exif_block(file))


def _colours(image: Image.Image) -> Array:
    """The colours [H,W,3] of a decoded picture without its alpha; of 16 bits the higher eight."""
    if image.mode in DEEP:
        gray = (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    coloured = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return np.array(coloured)[..., :3]  # a copy, which may be written to


def _identified(stream: BinaryIO, size: int) -> Image.Image:
    """The picture in a stream of `size` bytes, of which no pixel has been decoded. Raises OverLimit over a limit."""
    if size > MOST_BYTES:
        raise OverLimit(f"it has more than {MOST_BYTES >> 20} MB")
    check_metadata(stream)
    file = Image.open(stream, formats=(*FORMATS, *_heif(stream)))
    pixels = file.width * file.height
    if pixels > MAX_PIXELS or pixels > max(PLAIN_PIXELS, size * MOST_PIXELS_PER_BYTE):
        file.close()
        raise OverLimit(f"it declares {file.width}x{file.height} pixels in {size} bytes")
    return file


def _heif(stream: BinaryIO) -> tuple[str, ...]:
    """The format of a HEIC file, whose reader is an optional package; nothing for other files. Raises UsageError."""
    head = stream.read(12)
    stream.seek(0)
    if head[4:8] != b"ftyp" or head[8:] not in HEIC:
        return ()
    heif = extras.load_optional("pillow_heif", "a HEIC picture", instead="convert it to a .png")
    heif.register_heif_opener(thumbnails=False)
    return ("HEIF",)


def _exif_block(file: Image.Image) -> bytes:
    """The bytes that Pillow parses as EXIF: those of the format, or those that ImageMagick writes as a PNG's text."""
    block = file.info.get("exif")
    if block is None and (text := file.info.get("Raw profile type exif")):
        block = bytes.fromhex("".join(str(text).split("\n")[3:]))
    return block or b""


def _unreadable(path: Path, error: Exception) -> InputUnreadable:
    """The error that names the picture and, where it is ours or the system's, the reason."""
    known = isinstance(error, OverLimit) or (isinstance(error, OSError) and error.strerror is not None)
    reason = f" ({error_reason(error)})" if known else ""
    return InputUnreadable(f"{path} is not a readable picture{reason}", remedy=_REMEDY)
