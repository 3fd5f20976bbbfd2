"""Bound the metadata of a PNG, JPEG or TIFF before a decoder reads it: its size, and what its directories copy.

An entry of EXIF, and of a TIFF, names a place and a size in its block. Thousands of entries may name the same large
place, so that a file of some kilobytes takes gigabytes when it is read.
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import BinaryIO

from PIL import JpegImagePlugin

MOST_METADATA = 1 << 24  # bytes beside the pixels of a PNG, and before those of a JPEG
MOST_CHUNKS = 10_000  # of a PNG, beside those with pixels
MOST_EXIF = 1 << 20  # bytes
MOST_COPIED = 1 << 22  # bytes that the entries of EXIF name together
MOST_PAGES = 1000  # directories of a TIFF
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}  # of EXIF's types
_NESTED = (0x8769, 0x8825, 0xA005)  # tags whose value is the place of another directory: Exif, GPS, Interoperability


class OverLimit(ValueError):
    """A picture, or what it holds beside its pixels, is larger than a limit allows."""


def check_metadata(file: BinaryIO) -> None:
    """Raise OverLimit if the metadata of the PNG, JPEG or TIFF in `file` is over a limit; other formats pass.

    The file is then at its start again.
    """
    file.seek(0)
    head = file.read(8)
    if head == b"\x89PNG\r\n\x1a\n":
        _check_png(file)
    elif head.startswith(b"\xff\xd8\xff"):
        file.seek(3)
        _check_jpeg(file)
    elif head[:2] in (b"II", b"MM"):
        _check_tiff(file)
    file.seek(0)


def check_exif(block: bytes) -> None:
    """Raise OverLimit if an EXIF block is over MOST_EXIF, or its directories name more than MOST_COPIED."""
    if len(block) > MOST_EXIF:
        raise OverLimit(f"its EXIF has more than {MOST_EXIF >> 20} MB")
    for _ in range(2):
        block = block.removeprefix(b"Exif\0\0")
    _check_directories(block, "its EXIF")


def _check_directories(block: bytes | mmap.mmap, name: str) -> None:
    """Raise OverLimit if the directories of an EXIF block or a TIFF name more than MOST_COPIED, or are too many."""
    if len(block) < 8 or block[:2] not in (b"II", b"MM"):
        return
    if 0x2B in block[2:4]:
        raise OverLimit(f"{name} is a BigTIFF")
    order = "<" if block[:2] == b"II" else ">"
    places, seen, named = [struct.unpack(order + "L", block[4:8])[0]], set[int](), 0
    while places:
        place = places.pop()
        if place in seen or place + 2 > len(block):
            continue
        seen.add(place)
        if len(seen) > MOST_PAGES:
            raise OverLimit(f"{name} has more than {MOST_PAGES} directories")
        (count,) = struct.unpack_from(order + "H", block, place)
        if place + 2 + 12 * count + 4 <= len(block):  # the next page
            places.append(struct.unpack_from(order + "L", block, place + 2 + 12 * count)[0])
        for first in range(place + 2, min(place + 2 + 12 * count, len(block) - 11), 12):
            tag, kind, number, value = struct.unpack_from(order + "HHLL", block, first)
            size = _SIZES.get(kind, 0) * number
            named += min(size, max(len(block) - value, 0)) if size > 4 else 4
            if tag in _NESTED:
                places.append(value)
            if named > MOST_COPIED:
                raise OverLimit(f"the entries of {name.removeprefix('its ')} name more than {MOST_COPIED >> 20} MB")


def _check_tiff(file: BinaryIO) -> None:
    """Check the directories of a TIFF, or of its beginning in memory, without reading its pixels."""
    try:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as block:
            _check_directories(block, "it")
    except (OSError, ValueError):  # no file on a disk, such as bytes in memory
        file.seek(0)
        _check_directories(file.read(), "it")


def _check_png(file: BinaryIO) -> None:
    """Sum the chunks that hold no pixels, without reading them."""
    count = total = 0
    while len(head := file.read(8)) == 8 and head[4:] != b"IEND":
        length, kind = struct.unpack(">L4s", head)
        if kind not in (b"IDAT", b"fdAT"):
            count, total = count + 1, total + length
        if count > MOST_CHUNKS or total > MOST_METADATA:
            raise OverLimit(f"its text and metadata have more than {MOST_METADATA >> 20} MB or {MOST_CHUNKS} chunks")
        file.seek(length + 4, os.SEEK_CUR)  # 4 bytes of checksum


def _check_jpeg(file: BinaryIO) -> None:
    """Read the segments before the pixels as Pillow does, which skips what is between them, and check their EXIF."""
    exif, total, byte = b"", 0, b"\xff"
    while byte:
        if byte != b"\xff":
            byte = file.read(1)
            continue
        marker = 0xFF00 | int.from_bytes(file.read(1) or b"\0")
        if marker == 0xFFFF:
            continue
        if marker == 0xFFDA:  # the pixels follow
            break
        byte = file.read(1)
        if JpegImagePlugin.MARKER.get(marker, ("", "", None))[2] is None:
            continue
        length = max(int.from_bytes(byte + file.read(1)) - 2, 0)
        content, byte = file.read(length), file.read(1)
        total += length
        if total > MOST_METADATA:
            raise OverLimit(f"its metadata has more than {MOST_METADATA >> 20} MB")
        if content.startswith(b"Exif\0\0") and marker == 0xFFE1:
            exif += content[6:]
            if len(exif) > MOST_EXIF:
                break
        elif content.startswith(b"MPF\0") and marker == 0xFFE2:  # the index of several pictures, built like EXIF
            check_exif(content[4:])
    check_exif(exif)
