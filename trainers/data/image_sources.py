"""Where an autoencoder's pictures come from: a corpus, a folder of photos, tars, an LMDB, or samples made now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vidinv.generators import proxy, registry
from vidinv.generators.base import Generator
from vidinv.generators.ops import resize
from vidinv.trainers.data.corpus import open_corpus
from vidinv.trainers.data.face_batches import Painter
from vidinv.trainers.data.generated_samples import sample_ws
from vidinv.trainers.data.keyed_dataset import ImageDataset
from vidinv.trainers.data.lmdb_images import is_database, open_database
from vidinv.trainers.data.photos import open_photos
from vidinv.trainers.data.step_sampler import SampleKey
from vidinv.trainers.data.tar_images import open_tars

GENERATOR, HEAD = "mobile-stylegan-ffhq-1024", 128  # what is drawn from where no data are given, and by which head


@dataclass(frozen=True, eq=False)
class GeneratedImages(ImageDataset):
    """The generator's own samples, drawn in the training's own process; each is of its key's seed alone."""

    generator: Generator
    paint: Painter
    size: int

    @torch.no_grad()
    def batch(self, keys: Sequence[SampleKey]) -> Tensor:
        """The pictures of the keys [n,3,size,size] in [-1,1]."""
        ws = torch.cat([sample_ws(self.generator, 1, seed=key.seed, mixing=0.0) for key in keys])
        return resize(self.paint(ws), self.size).clamp(-1, 1)


def needs(data: str) -> list[str]:
    """Catalogue names of what drawing takes."""
    return [] if data else ["generator/mobile-stylegan-ffhq"]


def open_pictures(data: str, size: int, held_out: int = 0) -> ImageDataset:
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
