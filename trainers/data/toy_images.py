"""Generate toy pictures, which show within seconds whether an autoencoder learns at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vidinv.generators.ops import resize
from vidinv.trainers.data.keyed_dataset import ImageDataset
from vidinv.trainers.data.step_sampler import SampleKey

SIDE = 16  # pixels of a picture before resizing
RADIUS = 4  # pixels


@dataclass(frozen=True, eq=False)
class Blobs(ImageDataset):
    """Discs at random positions in random colours, at `size` pixels; two position and six colour parameters."""

    size: int = SIDE

    def batch(self, keys: Sequence[SampleKey]) -> Tensor:
        """Return the pictures of the keys [n,3,size,size] in [-1,1]."""
        drawn = torch.stack([torch.rand(8, generator=key.generator()) for key in keys])
        place = drawn[:, :2, None, None] * SIDE / 2 + SIDE / 4
        ink = drawn[:, 2:].reshape(-1, 2, 3, 1, 1) * 2 - 1
        y, x = torch.meshgrid(torch.arange(float(SIDE)), torch.arange(float(SIDE)), indexing="ij")
        inside = ((y - place[:, 0]).square() + (x - place[:, 1]).square() < RADIUS**2)[:, None]
        return resize(torch.where(inside, ink[:, 0], ink[:, 1]), self.size)
