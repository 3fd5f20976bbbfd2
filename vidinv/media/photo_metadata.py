"""Carry a photo's metadata from one file to another: EXIF, colour profile, XMP, resolution, comment and PNG text.

What describes other pixels than those written is left behind: the orientation (pixels are written upright), the EXIF
thumbnail and the raw blocks that ImageMagick writes as text.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field, replace
from typing import Any

from PIL import ExifTags, Image, PngImagePlugin

XMP_KEY = "XML:com.adobe.xmp"  # of a PNG's text
_FAULTS = (ValueError, TypeError, AttributeError, KeyError, SyntaxError, struct.error)
_ORIENTED = re.compile(rb"""(tiff:Orientation(?:="|>))\d""")
_LOCATED = re.compile(
    rb"""\s+exif:GPS\w+\s*=\s*("[^"]*"|'[^']*')|<exif:GPS(\w+)(?:\s[^>]*)?>.*?</exif:GPS\2>""", re.DOTALL
)
# Text that repeats what is carried in another way.
_OWN_TEXT = (XMP_KEY, "dpi", "exif", "icc_profile", "xmp", "comment")


@dataclass(frozen=True)
class PhotoMetadata:
    """What a photo holds in addition to its pixels; empty values are absent.

    `profile` (ICC), `exif` and `xmp` are raw bytes, `dpi` is pixels per inch in x and y, `comment` is that of a JPEG or
    GIF, `text` holds the text chunks of a PNG.
    """

    profile: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""
    dpi: tuple[float, float] | None = None
    comment: bytes = b""
    text: dict[str, str] = field(default_factory=dict)

    def without_location(self) -> PhotoMetadata:
        """Return the metadata without the place where the photo was taken, in EXIF and in XMP."""
        exif = Image.Exif()
        exif.load(self.exif)
        exif.pop(ExifTags.Base.GPSInfo, None)
        return replace(self, exif=exif.tobytes() if self.exif else b"", xmp=_LOCATED.sub(b"", self.xmp))


def read_metadata(file: Image.Image, *, is_rgb: bool) -> PhotoMetadata:
    """Read the metadata of an open picture; what cannot be parsed is dropped.

    A colour profile is kept only if the samples that will be written are those it describes (`is_rgb`).
    """
    info = file.info
    xmp = info.get("xmp") or info.get(XMP_KEY) or b""
    comment = info.get("comment") or b""
    return PhotoMetadata(
        profile=(info.get("icc_profile") or b"") if is_rgb else b"",
        exif=_exif(file),
        xmp=_ORIENTED.sub(rb"\g<1>1", xmp.encode() if isinstance(xmp, str) else bytes(xmp)),
        dpi=_dpi(info.get("dpi")),
        comment=comment.encode("utf-8", "replace") if isinstance(comment, str) else bytes(comment),
        text={
            key: str(value)
            for key, value in getattr(file, "text", {}).items()
            if key not in _OWN_TEXT and not key.startswith("Raw profile type ")
        },
    )


def save_options(known: PhotoMetadata, kind: str, made: dict[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Return Pillow's options that write the metadata and `made` into a PNG, JPEG or WEBP, and what has no place there.

    `made` says what made the picture: the EXIF software of every kind, and text of a PNG.
    """
    exif = Image.Exif()
    exif.load(known.exif)
    exif[ExifTags.Base.Software] = "; ".join(f"{key}={value}" for key, value in made.items())
    options: dict[str, Any] = {"exif": exif, "icc_profile": known.profile or None}
    lost: list[str] = []
    if known.dpi is not None and kind != "WEBP":
        options["dpi"] = known.dpi
    if kind == "PNG":
        options["pnginfo"] = _png_text(known, made)
        return options, lost
    if known.xmp:
        options["xmp"] = known.xmp
    if known.comment and kind == "JPEG":
        options["comment"] = known.comment
    elif known.comment:
        lost.append("the comment")
    if known.text:
        lost.append(f"the text {', '.join(sorted(known.text))}")
    if known.dpi is not None and kind == "WEBP":
        lost.append("the resolution")
    return options, lost


def _png_text(known: PhotoMetadata, made: dict[str, str]) -> PngImagePlugin.PngInfo:
    text = PngImagePlugin.PngInfo()
    for key, value in ({**known.text, **made}).items():
        text.add_itxt(key, value)
    if known.xmp:
        text.add_itxt(XMP_KEY, known.xmp.decode("utf-8", "replace"))
    if known.comment and "Comment" not in known.text:
        text.add_itxt("Comment", known.comment.decode("utf-8", "replace"))
    return text


def _dpi(value: Any) -> tuple[float, float] | None:
    """Return the resolution if both values are plausible, else None."""
    try:
        x, y = (float(each) for each in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if all(0 < each < 1e5 for each in (x, y)) else None


def _exif(file: Image.Image) -> bytes:
    """Return the file's EXIF bytes without the orientation tag and the thumbnail; no bytes if it cannot be parsed."""
    try:
        exif = file.getexif()
        upright = Image.Exif()
        upright.load(exif.tobytes())
        upright.pop(ExifTags.Base.Orientation, None)
        return upright.tobytes()
    except _FAULTS:
        return b""
