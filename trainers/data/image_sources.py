"""Open the pictures of an autoencoder training: a corpus, a folder of photos, tars, an LMDB, or generated samples."""

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
from vidinv.trainers.data.face_batches import RenderFunction
from vidinv.trainers.data.generated_samples import sample_ws
from vidinv.trainers.data.keyed_dataset import ImageDataset
from vidinv.trainers.data.lmdb_images import is_database, open_database
from vidinv.trainers.data.photos import open_photos
from vidinv.trainers.data.step_sampler import SampleKey
from vidinv.trainers.data.tar_images import open_tars

GENERATOR, HEAD = "mobile-stylegan-ffhq-1024", 128  # default generator, and the size of its proxy head


@dataclass(frozen=True, eq=False)
class GeneratedImages(ImageDataset):
    """Samples of a generator, rendered in the training process; each depends on its key's seed alone."""

    generator: Generator
    render: RenderFunction
    size: int

    @torch.no_grad()
    def batch(self, keys: Sequence[SampleKey]) -> Tensor:
        """Return the pictures of the keys [n,3,size,size] in [-1,1]."""
        ws = torch.cat([sample_ws(self.generator, 1, seed=key.seed, mixing=0.0) for key in keys])
        return resize(self.render(ws), self.size).clamp(-1, 1)


def required_weights(data: str) -> list[str]:
    """Return the catalogue names of the weights that `data` needs."""
    return [] if data else ["generator/mobile-stylegan-ffhq"]


def open_pictures(data: str, size: int, held_out: int = 0) -> ImageDataset:
    """Open the pictures that `data` names at `size` pixels; "" means endless samples of the default generator.

    The last `held_out` pictures of a corpus are left out. Raises InputUnreadable if there are no pictures.
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
