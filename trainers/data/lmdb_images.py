"""An LMDB of encoded pictures as training data: its keys are listed once, each picture is read when it is drawn.

Two layouts: StyleGAN2's of PyTorch, whose keys are SIDE-NUMBER and which may hold several sides (`length` says how many
of each), and any other whose values are encoded pictures, such as LSUN's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidinv.errors import InputUnreadable
from vidinv.extras import load_optional
from vidinv.frames import Array
from vidinv.trainers.data.photos import Photos, decoded


def is_database(path: Path) -> bool:
    """Whether a path is an LMDB: a folder with `data.mdb`, or a file that ends in .lmdb or .mdb."""
    return (path / "data.mdb").is_file() or (path.is_file() and path.suffix in (".lmdb", ".mdb"))


def open_database(path: Path, size: int) -> Photos:
    """The pictures of an LMDB, by their keys.

    Of several sides the least that is not below `size` pixels is taken, else the largest. Raises InputUnreadable for
    what is none, and where there are no pictures in it; UsageError where the package lmdb is not installed.
    """
    lmdb = load_optional("lmdb", f"reading the LMDB {path}")

    try:
        with _opened(path) as store, store.begin() as entries, entries.cursor() as cursor:
            keys = list(cursor.iternext(values=False))
    except lmdb.Error as error:
        raise InputUnreadable(f"{path} is no LMDB: {error}", remedy="give one of encoded pictures") from error
    wanted = {path / key.decode("utf-8", "backslashreplace"): key for key in _of_one_side(keys, size)}
    if not wanted:
        raise InputUnreadable(f"no picture in {path}", remedy="give an LMDB of encoded pictures")
    return Photos(list(wanted), size, LmdbReader(path, wanted))


@dataclass(frozen=True)
class LmdbReader:
    """Reads one picture of the LMDB at `path` by its name, in any process; `keys` has the key of each name."""

    path: Path
    keys: dict[Path, bytes]

    def __call__(self, name: Path) -> Array:
        with _opened(self.path) as store, store.begin() as entries:
            return decoded(entries.get(self.keys[name], b""), name)


def _opened(path: Path) -> Any:
    """The LMDB at `path` for one reading: an open one could not be used by workers, which are forks of this process."""
    import lmdb

    return lmdb.open(str(path), subdir=path.is_dir(), readonly=True, lock=False, readahead=False)


def _of_one_side(keys: list[bytes], size: int) -> list[bytes]:
    """The keys of pictures; in StyleGAN2's layout those of the side that suits."""
    if b"length" not in keys:
        return keys
    pictures = [key for key in keys if key.partition(b"-")[0].isdigit()]
    sides = sorted({int(key.partition(b"-")[0]) for key in pictures})
    side = next((side for side in sides if side >= size), sides[-1] if sides else 0)
    return [key for key in pictures if int(key.partition(b"-")[0]) == side]
