"""Where an autoencoder's pictures come from: a corpus, a folder of photos, tars, an LMDB, or samples made now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor
from vidinv.trainers.data.corpus import open_corpus, painted
from vidinv.trainers.data.face_batches import Painter
from vidinv.trainers.data.lmdb_images import is_database, open_database
from vidinv.trainers.data.photos import open_photos
from vidinv.trainers.data.tar_images import open_tars

from vidinv.generators import proxy, registry
from vidinv.generators.base import Generator

GENERATOR, HEAD = "mobile-stylegan-ffhq-1024", 128  # what is drawn from where no data are given, and by which head


class ImageSource(Protocol):
    """Something that draws `count` pictures [count,3,S,S] in [-1,1], which depend on `seed` alone."""

    def draw(self, count: int, seed: int) -> Tensor: ...


@dataclass(frozen=True)
class GeneratedImages:
    """The generator's own samples, made when they are drawn."""

    generator: Generator
    paint: Painter
    size: int

    def draw(self, count: int, seed: int) -> Tensor:
        return painted(self.generator, self.paint, count, seed, self.size)


def needs(data: str) -> list[str]:
    """Catalogue names of what drawing takes."""
    return [] if data else ["generator/mobile-stylegan-ffhq"]


def open_pictures(data: str, size: int, held_out: int = 0) -> ImageSource:
    """The pictures that `data` names, at `size` pixels; "" is samples of the default generator, without end.

    The last `held_out` of a corpus are never drawn. Raises InputUnreadable where there are none.
    """
    if not data:
        generator = registry.load_generator(GENERATOR)
        return GeneratedImages(generator, proxy.load_proxy(generator, HEAD), size)
    path = Path(data)
    if path.suffix == ".npy":
        return open_corpus(path, size).without_last(held_out)
    if path.suffix == ".tar":
        return open_tars(data, size)
    return open_database(path, size) if is_database(path) else open_photos(path, size)
