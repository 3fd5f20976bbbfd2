"""Read and write photos (PNG, JPEG, WebP), keeping alpha, colour profile and EXIF."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin

from vidinv import fileio
from vidinv.errors import InputUnreadable, UsageError
from vidinv.frames import Array
from vidinv.media.picture_file import opening_picture

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
QUALITY = 95  # of JPEG and WebP
DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")  # Pillow's modes of more than 8 bits

# The transposition that turns a picture with this EXIF orientation upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Photo:
    """Pixels and metadata of one photo.

    `rgb` is uint8 [H,W,3] and upright; `alpha` is uint8 [H,W], or None without transparency; `profile` (ICC) and
    `exif` are the raw bytes, empty if absent.
    """

    rgb: Array
    alpha: Array | None = None
    profile: bytes = b""
    exif: bytes = b""


def is_photo(path: Path) -> bool:
    """Return whether the file name has a suffix that `write_photo` supports."""
    return path.suffix.lower() in SUFFIXES


def check_suffix(path: Path) -> None:
    """Raise UsageError if `write_photo` does not support the file name's suffix."""
    if not is_photo(path):
        raise UsageError(
            f"{path.name} does not have the suffix of a supported picture format",
            remedy=f"end its name with {', '.join(SUFFIXES)}",
        )


def read_photo(path: Path) -> Photo:
    """Read a photo with 8 bits per sample and turn it upright by its EXIF orientation.

    A colour profile for samples other than RGB is dropped, because RGB is written; EXIF that cannot be parsed is
    dropped too. Raises InputUnreadable for an animation or more than 8 bits per sample, and as
    `opening_picture` does.
    """
    with opening_picture(path) as file:
        if file.format != "MPO" and getattr(file, "n_frames", 1) > 1:  # a camera's JPEG may hold a second view
            raise InputUnreadable(
                f"{path} is an animation", remedy="give a single picture, or use `vidinv run` for a video"
            )
        exif = _exif(file)
        turn = _TURNS.get(_orientation(file))
        image = file if turn is None else file.transpose(turn)
        if image.mode in DEEP:
            raise InputUnreadable(f"{path} has more than 8 bits per sample", remedy="convert it to 8 bits first")
        alpha = None
        if image.has_transparency_data:
            alpha = np.asarray((image if image.mode == "RGBA" else image.convert("RGBA")).getchannel("A"))
        profile = image.info.get("icc_profile") if image.mode in ("RGB", "RGBA", "P") else None
        return Photo(np.ascontiguousarray(np.asarray(image.convert("RGB"))), alpha, profile or b"", exif)


def write_photo(path: Path, photo: Photo, made: dict[str, str]) -> None:
    """Write the photo atomically in the format of the file name's suffix; `made` is added to its metadata.

    PNG is lossless; JPEG and WebP are written at quality 95. JPEG has no alpha. Raises UsageError for an unsupported
    suffix, OutputUnwritable if the file cannot be written.
    """
    check_suffix(path)
    kind = Image.registered_extensions()[path.suffix.lower()]
    image = Image.fromarray(photo.rgb)
    if photo.alpha is not None and kind != "JPEG":
        image.putalpha(Image.fromarray(photo.alpha))
    exif = Image.Exif()
    exif.load(photo.exif)
    exif[ExifTags.Base.Software] = "; ".join(f"{key}={value}" for key, value in made.items())
    options: dict[str, object] = {"exif": exif, "icc_profile": photo.profile or None}
    if kind == "PNG":
        text = PngImagePlugin.PngInfo()
        for key, value in made.items():
            text.add_itxt(key, value)
        options["pnginfo"] = text
    elif kind == "JPEG":
        options |= {"quality": QUALITY, "subsampling": 0}
    else:
        options["quality"] = QUALITY
    failures = (ValueError,)  # the picture is too large, or has too much metadata, for that kind of file
    with fileio.replacing(path, remedy="make room, or write a .png elsewhere", failures=failures) as draft:
        image.save(draft, format=kind, **options)


def _orientation(file: Image.Image) -> int:
    """Return the EXIF orientation, or 1 (upright) if none can be read."""
    try:
        return int(file.getexif().get(ExifTags.Base.Orientation, 1))
    except (ValueError, TypeError, AttributeError, KeyError, SyntaxError, struct.error):
        return 1


def _exif(file: Image.Image) -> bytes:
    """Return the file's EXIF bytes without the orientation tag, or no bytes if the EXIF cannot be parsed."""
    try:
        exif = file.getexif()
        upright = Image.Exif()
        upright.load(exif.tobytes())
        upright.pop(ExifTags.Base.Orientation, None)
        return upright.tobytes()
    except (ValueError, TypeError, AttributeError, KeyError, SyntaxError, struct.error):
        return b""
