"""Pictures that are known and cost nothing, and a training that shows nothing: for the autoencoders' tests."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vidinv.generators.ops import resize


class Quiet:
    """Instead of a bar."""

    def begin(self, images: int, seen: int) -> None: ...

    def advance(self, images: int) -> None: ...

    def end(self) -> None: ...


@dataclass(frozen=True)
class Blobs:
    """Discs of any colour on any ground, anywhere, at `size` pixels."""

    size: int = 16

    def draw(self, count: int, seed: int) -> Tensor:
        random = torch.Generator().manual_seed(seed)
        place = torch.rand(count, 2, 1, 1, generator=random) * 8 + 4
        ink = torch.rand(count, 2, 3, 1, 1, generator=random) * 2 - 1
        y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
        inside = ((y - place[:, 0]).square() + (x - place[:, 1]).square() < 16)[:, None]
        return resize(torch.where(inside, ink[:, 0], ink[:, 1]), self.size)
