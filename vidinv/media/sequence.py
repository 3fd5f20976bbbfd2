"""Read a folder of pictures as one video stream, in the natural order of the file names."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import IO

from vidinv.errors import InputUnreadable
from vidinv.fileio import open_regular, read_json

RATE = Fraction(25)  # default frames per second
TIMES = "frames.json"  # {"rate": "30000/1001"}: written with the pictures, optional on reading
MOST_TIMES = 1 << 25  # bytes of that file: a million pictures
_DEMUXERS = {
    ".png": "png_pipe",
    ".jpg": "jpeg_pipe",
    ".jpeg": "jpeg_pipe",
    ".bmp": "bmp_pipe",
    ".dpx": "dpx_pipe",
}


def is_folder(output: Path) -> bool:
    """Return whether an output of this name is a folder of pictures: it has no suffix."""
    return not output.suffix


def is_picture(path: Path) -> bool:
    """Return whether a file of this name is a picture that a folder sequence may contain."""
    return path.suffix.lower() in _DEMUXERS


def is_animated_png(path: Path) -> bool:
    """Return whether the file at `path` is a PNG with several frames: its animation chunk comes before the pixels."""
    head = _head(path)
    return head.startswith(b"\x89PNG\r\n\x1a\n") and b"acTL" in head.partition(b"IDAT")[0]


def is_animated_webp(path: Path) -> bool:
    """Return whether the file at `path` is a WebP with several frames, by the flag in its extended header."""
    head = _head(path)
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) > 20 and bool(head[20] & 2)


def _head(path: Path) -> bytes:
    try:
        with open_regular(path) as stream:
            return stream.read(1 << 16)
    except OSError:
        return b""


def list_pictures(folder: Path) -> list[Path]:
    """List the folder's pictures in natural order (2 before 10); other files are ignored.

    Raises InputUnreadable if there are no pictures or pictures of several formats.
    """
    found = sorted((p for p in folder.iterdir() if is_picture(p) and p.is_file()), key=_natural)
    if not found:
        raise InputUnreadable(f"{folder} holds no pictures", remedy=f"put {', '.join(_DEMUXERS)} files into it")
    kinds = sorted({_DEMUXERS[path.suffix.lower()].removesuffix("_pipe") for path in found})
    if len(kinds) > 1:
        raise InputUnreadable(
            f"{folder} holds pictures of several formats ({', '.join(kinds)})", remedy="keep one format"
        )
    return found


def frame_rate(folder: Path) -> Fraction:
    """Return the frames per second from the folder's `frames.json`, else 25. Raises InputUnreadable if invalid."""
    path = folder / TIMES
    if not path.is_file():
        return RATE
    try:
        value = Fraction(str(read_json(path, MOST_TIMES)["rate"]))
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError, IndexError) as error:
        raise InputUnreadable(f"{path} has no valid rate", remedy='write {"rate": "30000/1001"} into it') from error
    if not 0 < value <= 1000:
        raise InputUnreadable(f"{path}: {value} frames per second", remedy="give a rate above 0, up to 1000")
    return value


def _natural(path: Path) -> list[tuple[int, int | str]]:
    """Return a sort key that compares the numbers in a file name by value."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", path.name)]


class Reel:
    """File object that concatenates the bytes of all pictures for FFmpeg's picture demuxers; one file is open."""

    def __init__(self, paths: list[Path]) -> None:
        self.demuxer = _DEMUXERS[paths[0].suffix.lower()]
        self._left = iter(paths)
        self._file: IO[bytes] | None = None

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, and no bytes after the last picture."""
        while True:
            block = self._file.read(size) if self._file is not None else b""
            if block:
                return block
            self.close()
            path = next(self._left, None)
            if path is None:
                return b""
            self._file = open_regular(path)

    def close(self) -> None:
        """Close the picture that is being read."""
        if self._file is not None:
            self._file.close()
        self._file = None
