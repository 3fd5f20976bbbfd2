"""Pictures that are known and cost nothing: what tells in seconds whether an autoencoder learns at all."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vidinv.generators.ops import resize

SIDE = 16  # pixels at which they are drawn
RADIUS = 4


@dataclass(frozen=True)
class Blobs:
    """Discs of any colour on any ground, anywhere, at `size` pixels: two numbers of place, six of colour."""

    size: int = SIDE

    def draw(self, count: int, seed: int) -> Tensor:
        """`count` pictures [count,3,size,size] in [-1,1] of this seed."""
        random = torch.Generator().manual_seed(seed)
        place = torch.rand(count, 2, 1, 1, generator=random) * SIDE / 2 + SIDE / 4
        ink = torch.rand(count, 2, 3, 1, 1, generator=random) * 2 - 1
        y, x = torch.meshgrid(torch.arange(float(SIDE)), torch.arange(float(SIDE)), indexing="ij")
        inside = ((y - place[:, 0]).square() + (x - place[:, 1]).square() < RADIUS**2)[:, None]
        return resize(torch.where(inside, ink[:, 0], ink[:, 1]), self.size)
