"""How alike two sets of images are: the Frechet distance of a network's features, named after that network.

FID is this distance on Inception-v3; its weights are in no package, so figures here compare with each other and not
with published FIDs.
"""

from __future__ import annotations

from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance


class Frechet:
    """Gathers two sets of images, batch by batch, and compares the Gaussians of their features."""

    def __init__(self, network: nn.Module) -> None:
        """`network`: images -> features [N,D], with `num_features` = D."""
        self.metric = FrechetInceptionDistance(feature=network)
        self.counts = [0, 0]

    def add(self, images: Tensor, *, real: bool) -> None:
        """Add a batch to the real or to the other set."""
        self.metric.update(images, real=real)
        self.counts[real] += len(images)

    def distance(self) -> float:
        """The squared distance. ValueError before both sets have two images."""
        if min(self.counts) < 2:
            raise ValueError(f"a Frechet distance takes at least two images a set, got {self.counts}")
        return float(self.metric.compute())
