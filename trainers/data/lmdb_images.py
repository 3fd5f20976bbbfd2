"""Read training pictures from an LMDB of encoded pictures; keys are listed once, pictures are read on demand.

Two layouts are known: that of StyleGAN2 for PyTorch, with keys SIDE-NUMBER, possibly several sides, and their number
under `length`; and any LMDB whose values are encoded pictures, such as LSUN's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidinv.errors import InputUnreadable
from vidinv.extras import load_optional
from vidinv.frames import Array
from vidinv.media.picture_file import decode_rgb
from vidinv.trainers.data.photos import Photos


def is_database(path: Path) -> bool:
    """Return whether a path is an LMDB: a folder with `data.mdb`, or a file that ends in .lmdb or .mdb."""
    return (path / "data.mdb").is_file() or (path.is_file() and path.suffix in (".lmdb", ".mdb"))


def open_database(path: Path, size: int) -> Photos:
    """Open the pictures of an LMDB.

    Of several sides, the smallest that is at least `size` pixels is used, else the largest. Raises InputUnreadable for
    a path that is not an LMDB or has no pictures, UsageError if the package lmdb is not installed.
    """
    lmdb = load_optional("lmdb", f"reading the LMDB {path}")

    try:
        with _opened(path) as store, store.begin() as entries, entries.cursor() as cursor:
            keys = list(cursor.iternext(values=False))
    except lmdb.Error as error:
        raise InputUnreadable(f"{path} is not an LMDB: {error}", remedy="give an LMDB of encoded pictures") from error
    wanted = {path / key.decode("utf-8", "backslashreplace"): key for key in _of_one_side(keys, size)}
    if not wanted:
        raise InputUnreadable(f"no picture in {path}", remedy="give an LMDB of encoded pictures")
    return Photos(list(wanted), size, LmdbReader(path, wanted))


@dataclass(frozen=True)
class LmdbReader:
    """Reader of pictures of the LMDB at `path`, usable in any process; `keys` maps each picture's name to its key."""

    path: Path
    keys: dict[Path, bytes]

    def __call__(self, name: Path) -> Array:
        with _opened(self.path) as store, store.begin() as entries:
            return decode_rgb(entries.get(self.keys[name], b""), name)


def _opened(path: Path) -> Any:
    """Open the LMDB at `path` for one read: workers are forks and cannot use an LMDB that is already open."""
    import lmdb

    return lmdb.open(str(path), subdir=path.is_dir(), readonly=True, lock=False, readahead=False)


def _of_one_side(keys: list[bytes], size: int) -> list[bytes]:
    """Return the keys of pictures; in StyleGAN2's layout those of the side that fits `size`."""
    if b"length" not in keys:
        return keys
    pictures = [key for key in keys if key.partition(b"-")[0].isdigit()]
    sides = sorted({int(key.partition(b"-")[0]) for key in pictures})
    side = next((side for side in sides if side >= size), sides[-1] if sides else 0)
    return [key for key in pictures if int(key.partition(b"-")[0]) == side]
