"""A photo as a file: its pixels upright, and what else it holds (alpha, colour profile, EXIF), which is kept."""

from __future__ import annotations

import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin

from vidinv import fileio
from vidinv.errors import InputUnreadable, UsageError
from vidinv.frames import Array

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
QUALITY = 95  # of JPEG and WebP
DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")  # Pillow's modes of more than 8 bits

# What makes a picture of an EXIF orientation upright.
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
    """`rgb` uint8 [H,W,3], `alpha` uint8 [H,W] where the file has one; profile and EXIF as bytes, empty for none."""

    rgb: Array
    alpha: Array | None = None
    profile: bytes = b""
    exif: bytes = b""


def is_photo(path: Path) -> bool:
    """Whether the name is that of a picture that can be written."""
    return path.suffix.lower() in SUFFIXES


def check_suffix(path: Path) -> None:
    """Raise UsageError for a name that says no kind of picture that can be written."""
    if not is_photo(path):
        raise UsageError(f"{path.name} is no kind of picture", remedy=f"end its name with {', '.join(SUFFIXES)}")


def read_photo(path: Path) -> Photo:
    """The photo, turned upright as its EXIF says, 8 bits a sample. Raises InputUnreadable for what is none.

    A profile of other than RGB samples is dropped, since RGB is what is written; so is EXIF that cannot be parsed.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as file:
            warnings.simplefilter("ignore")  # of EXIF that is broken: it is dropped
            if file.format != "MPO" and getattr(file, "n_frames", 1) > 1:  # a camera's JPEG may hold a second view
                raise InputUnreadable(f"{path} is an animation", remedy="give one picture, or a video to vidinv run")
            exif = _exif(file)
            turn = _TURNS.get(_orientation(file))
            image = file if turn is None else file.transpose(turn)
            if image.mode in DEEP:
                raise InputUnreadable(f"{path} has more than 8 bits a sample", remedy="convert it to 8 bits first")
            alpha = np.asarray(image.convert("RGBA").getchannel("A")) if image.has_transparency_data else None
            profile = image.info.get("icc_profile") if image.mode in ("RGB", "RGBA", "P") else None
            return Photo(np.ascontiguousarray(np.asarray(image.convert("RGB"))), alpha, profile or b"", exif)
    except (OSError, ValueError, SyntaxError, TypeError, Image.DecompressionBombError) as error:
        raise InputUnreadable(f"{path} is not a readable picture", remedy="give a .jpg, .png or .webp") from error


def write_photo(path: Path, photo: Photo, made: dict[str, str]) -> None:
    """Write the photo as its name says, whole or not at all, with how it was `made` in its metadata.

    PNG is lossless; JPEG and WebP are written at quality 95. Raises OutputUnwritable.
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
    """The EXIF orientation, 1 (upright) where none can be read."""
    try:
        return int(file.getexif().get(ExifTags.Base.Orientation, 1))
    except (ValueError, TypeError, AttributeError, KeyError, SyntaxError, struct.error):
        return 1


def _exif(file: Image.Image) -> bytes:
    """The file's EXIF without its orientation, as it can be written again; nothing where it cannot be parsed."""
    try:
        exif = file.getexif()
        upright = Image.Exif()
        upright.load(exif.tobytes())
        upright.pop(ExifTags.Base.Orientation, None)
        return upright.tobytes()
    except (ValueError, TypeError, AttributeError, KeyError, SyntaxError, struct.error):
        return b""
