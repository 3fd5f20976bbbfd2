"""Fuzz the readers of pictures (`vidinv.media.picture_file`, `photo`) and of the provenance in their metadata."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache
from random import Random

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin

from scripts.stress import mutations
from scripts.stress.mutations import EXTREMES
from tests.fuzz.harness import mutated, refusals, written
from vidinv.errors import InputUnreadable
from vidinv.media import photo, picture_file
from vidinv.provenance import statement

PNG = b"\x89PNG\r\n\x1a\n"
KINDS = (
    b"IHDR",
    b"IDAT",
    b"PLTE",
    b"tRNS",
    b"tEXt",
    b"zTXt",
    b"iTXt",
    b"eXIf",
    b"iCCP",
    b"acTL",
    b"fcTL",
    b"fdAT",
    b"IEND",
)


@cache
def samples() -> list[bytes]:
    """Small pictures of every format and mode, with metadata."""
    rgb = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Software] = 6, "vidinv_version=1"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (1.0, 2.0, 3.0)
    text = PngImagePlugin.PngInfo()
    text.add_text("vidinv_version", "1", zip=True)
    text.add_itxt("Comment", "größe")
    plain = Image.fromarray(rgb)
    several = [plain.rotate(90 * turn) for turn in range(3)]
    made = [
        _saved(plain, "PNG", exif=exif, pnginfo=text),
        _saved(plain.convert("RGBA"), "PNG"),
        _saved(plain.convert("P"), "PNG", transparency=3),
        _saved(plain.convert("L"), "PNG"),
        _saved(Image.fromarray(rgb[..., 0].astype(np.uint16) * 257), "PNG"),
        _saved(several[0], "PNG", save_all=True, append_images=several[1:]),
        _saved(plain, "JPEG", exif=exif, comment=b"a comment", icc_profile=bytes(200)),
        _saved(plain.convert("CMYK"), "JPEG", progressive=True),
        _saved(plain, "WEBP", exif=exif),
        _saved(several[0], "WEBP", save_all=True, append_images=several[1:]),
        _saved(plain, "MPO", save_all=True, append_images=several[1:]),
    ]
    made += [_saved(plain, form) for form in ("BMP", "TIFF", "GIF", "AVIF")]
    made += [_saved(plain, "TIFF", compression="tiff_lzw"), _saved(plain.convert("P"), "BMP")]
    return [*made, _saved(several[0], "GIF", save_all=True, append_images=several[1:])]


def _saved(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=form, **options)
    return stream.getvalue()


def make(chance: Random) -> bytes:
    """A damaged picture, a PNG whose chunks are damaged and have right checksums, or one with extreme sizes."""
    kind = chance.randrange(10)
    if kind < 6:
        return mutated(samples(), chance)
    if kind < 8:
        return _chunks_changed(chance.choice([data for data in samples() if data.startswith(PNG)]), chance)
    return _headers_changed(chance.choice(samples()), chance)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", zlib.crc32(kind + content))


def _chunks_changed(data: bytes, chance: Random) -> bytes:
    """The PNG with chunks changed, added, repeated and left out."""
    chunks, at = [], len(PNG)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">L", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += length + 12
    for _ in range(chance.choice((1, 1, 2, 4))):
        place = chance.randrange(len(chunks))
        kind, content = chunks[place]
        match chance.randrange(5):
            case 0:
                chunks[place] = (kind, mutations.mutated(content, chance))
            case 1:
                chunks[place] = (chance.choice(KINDS), content)
            case 2:
                chunks.insert(place, (chance.choice(KINDS), chance.randbytes(chance.choice((0, 4, 13, 26, 300)))))
            case 3:
                chunks.insert(chance.randrange(len(chunks)), chunks[place])
            case _ if len(chunks) > 1:
                del chunks[place]
    return PNG + b"".join(_chunk(kind, content) for kind, content in chunks)


def _headers_changed(data: bytes, chance: Random) -> bytes:
    """The picture with a width and a height of its header, or of its EXIF, extreme."""
    made = bytearray(data)
    for _ in range(chance.choice((1, 2, 3))):
        at, form = chance.randrange(min(len(data) - 8, 400)), chance.choice(("<H", ">H", "<L", ">L"))
        number = chance.choice((0, 1, 7, 255, 4096, 10_000, 65_535, *EXTREMES))
        struct.pack_into(form, made, at, number & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
    if data.startswith(PNG):
        struct.pack_into(">L", made, 29, zlib.crc32(made[12:29]))
    return bytes(made)


def one(data: bytes) -> None:
    """Open `data` as a photo, as RGB, and for its statement of provenance."""
    path = written(data, "a.png")
    with refusals(InputUnreadable):
        rgb = photo.read_photo(path).rgb
        assert rgb.dtype == np.uint8 and rgb.ndim == 3
    with refusals(InputUnreadable):
        picture_file.read_rgb(path)
    with refusals(InputUnreadable):
        statement.metadata(path)
