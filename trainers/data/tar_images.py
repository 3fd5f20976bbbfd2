"""A WebDataset: the pictures of its tars, indexed once and read in place, as training data like a folder of photos."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from vidinv.errors import InputUnreadable
from vidinv.faces import pictures
from vidinv.frames import Array
from vidinv.trainers.data.photos import Photos, decoded


@dataclass(frozen=True)
class TarReader:
    """Reads one picture of a tar by its name; `places` has the tar of each, and its first byte and length there."""

    places: dict[Path, tuple[Path, int, int]]

    def __call__(self, name: Path) -> Array:
        shard, first, length = self.places[name]
        with shard.open("rb") as stream:
            stream.seek(first)
            return decoded(stream.read(length), name)


def open_tars(data: str, size: int) -> Photos:
    """The pictures of a tar, or of all whose names a pattern matches ("shards/*.tar"), by their names in them.

    Raises InputUnreadable for what is no tar, and where there are no pictures.
    """
    shards = sorted(Path(name) for name in glob(data)) or [Path(data)]
    places = {name: place for shard in shards for name, place in _members(shard).items()}
    if not places:
        raise InputUnreadable(f"no picture in {data}", remedy="give a tar of square pictures, .jpg or .png")
    return Photos(list(places), size, TarReader(places))


def _members(shard: Path) -> dict[Path, tuple[Path, int, int]]:
    """Where each picture lies: its tar, and first byte and length in it."""
    try:
        with tarfile.open(shard, "r:") as archive:
            return {
                shard / member.name: (shard, member.offset_data, member.size)
                for member in archive
                if member.isfile() and Path(member.name).suffix.lower() in pictures.PICTURES
            }
    except (OSError, tarfile.TarError) as error:
        raise InputUnreadable(f"{shard} is no tar: {error}", remedy="give one that is not compressed") from error
