"""A folder of pictures as a video: one stream in, in the natural order of the names; one file a frame out."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import IO

from vidinv.errors import InputUnreadable

RATE = Fraction(25)  # frames per second where the folder does not say
TIMES = "frames.json"  # {"rate": "30000/1001"}: written beside the pictures, read where it is there
_DEMUXERS = {
    ".png": "png_pipe",
    ".jpg": "jpeg_pipe",
    ".jpeg": "jpeg_pipe",
    ".bmp": "bmp_pipe",
    ".dpx": "dpx_pipe",
}


def is_folder(output: Path) -> bool:
    """Whether an output of this name is a folder of pictures: it has no suffix."""
    return not output.suffix


def is_picture(path: Path) -> bool:
    """Whether a file of this name is one picture that can stand in a folder."""
    return path.suffix.lower() in _DEMUXERS


def pictures(folder: Path) -> list[Path]:
    """The folder's pictures in natural order (2 before 10); other files are passed over.

    Raises InputUnreadable where there is none, or several kinds of pictures.
    """
    found = sorted((p for p in folder.iterdir() if is_picture(p) and p.is_file()), key=_natural)
    if not found:
        raise InputUnreadable(f"{folder} holds no pictures", remedy=f"put {', '.join(_DEMUXERS)} files into it")
    kinds = sorted({_DEMUXERS[path.suffix.lower()].removesuffix("_pipe") for path in found})
    if len(kinds) > 1:
        raise InputUnreadable(f"{folder} holds pictures of several kinds ({', '.join(kinds)})", remedy="keep one kind")
    return found


def rate(folder: Path) -> Fraction:
    """Frames per second, as `frames.json` in the folder says, else 25. Raises InputUnreadable for one that is wrong."""
    path = folder / TIMES
    if not path.is_file():
        return RATE
    try:
        value = Fraction(str(json.loads(path.read_text(encoding="utf-8"))["rate"]))
    except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise InputUnreadable(f"{path} says no rate", remedy='write {"rate": "30000/1001"}') from error
    if not 0 < value <= 1000:
        raise InputUnreadable(f"{path}: {value} frames per second", remedy="give a rate above 0, up to 1000")
    return value


def _natural(path: Path) -> list[tuple[int, int | str]]:
    """What sorts names by the numbers in them."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", path.name)]


class Reel:
    """The bytes of all pictures one after the other, as FFmpeg's picture demuxers read them; one file is open."""

    def __init__(self, paths: list[Path]) -> None:
        self.demuxer = _DEMUXERS[paths[0].suffix.lower()]
        self._left = iter(paths)
        self._file: IO[bytes] | None = None

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none after the last picture."""
        while True:
            block = self._file.read(size) if self._file is not None else b""
            if block:
                return block
            self.close()
            path = next(self._left, None)
            if path is None:
                return b""
            self._file = path.open("rb")

    def close(self) -> None:
        """Close the picture that is being read."""
        if self._file is not None:
            self._file.close()
        self._file = None
