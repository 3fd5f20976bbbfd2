"""Plain stand-ins for the networks that judge a picture: differentiable, and their answers can be worked out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from vidinv.editing.refine import Guides


class PooledPixels(nn.Module):
    """A person is the picture at 8x8, as a unit vector."""

    def embed(self, image: Tensor) -> Tensor:
        return functional.normalize(functional.adaptive_avg_pool2d(image.float(), 8).flatten(1), dim=1)


class MeanDifference(nn.Module):
    """[N,3,S,S] twice -> [N]."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.against(b)(a)

    def against(self, b: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda a: (a - b).abs().mean((1, 2, 3))


def guides(perceptual: nn.Module | None = None) -> Guides:
    """Both stand-ins as the guides of a refinement or a training."""
    judge: Any = perceptual or MeanDifference()
    person: Any = PooledPixels()
    return Guides(identity=person, perceptual=judge)
