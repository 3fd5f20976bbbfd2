"""Read training pictures from tars (a WebDataset), indexed once and read in place."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from vidinv.errors import InputUnreadable
from vidinv.faces import pictures
from vidinv.frames import Array
from vidinv.media.picture_file import MOST_BYTES, decode_rgb
from vidinv.trainers.data.photos import Photos


@dataclass(frozen=True)
class TarReader:
    """Reader of pictures in tars; `places` maps each picture's name to its tar, offset and length in bytes."""

    places: dict[Path, tuple[Path, int, int]]

    def __call__(self, name: Path) -> Array:
        shard, first, length = self.places[name]
        with shard.open("rb") as stream:
            stream.seek(first)
            return decode_rgb(stream.read(min(length, MOST_BYTES + 1)), name)


def open_tars(data: str, size: int) -> Photos:
    """Open the pictures of a tar, or of all tars that match a pattern ("shards/*.tar").

    Raises InputUnreadable for a file that is not a tar, and if there are no pictures.
    """
    shards = sorted(Path(name) for name in glob(data)) or [Path(data)]
    places = {name: place for shard in shards for name, place in _members(shard).items()}
    if not places:
        raise InputUnreadable(f"no picture in {data}", remedy="give a tar of square pictures, .jpg or .png")
    return Photos(list(places), size, TarReader(places))


def _members(shard: Path) -> dict[Path, tuple[Path, int, int]]:
    """Return each picture's tar, offset and length in bytes."""
    try:
        with tarfile.open(shard, "r:") as archive:
            return {
                shard / member.name: (shard, member.offset_data, member.size)
                for member in archive
                if member.isfile() and Path(member.name).suffix.lower() in pictures.PICTURES
            }
    except (OSError, tarfile.TarError) as error:
        raise InputUnreadable(f"{shard} is not a tar: {error}", remedy="give an uncompressed tar") from error
