"""How alike two sets of images are: the Frechet distance of a network's features, named after that network.

FID is this distance on Inception-v3; its weights are in no package, so figures here compare with each other and not
with published FIDs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from vidinv.losses.lpips import LPIPS


class LastTap(nn.Module):
    """Features [N,D] of images [N,3,S,S]: the deepest of LPIPS's network, averaged over the pixels.

    For pictures too small for ImageNet's classifiers; 512 of VGG16.
    """

    def __init__(self, network: LPIPS) -> None:
        super().__init__()
        self.network = network
        self.num_features = int(network.heads[-1].shape[1])

    def forward(self, image: Tensor) -> Tensor:
        return self.network.features(image)[-1].mean((2, 3))


@torch.no_grad()
def diversity(perceptual: LPIPS, images: Tensor) -> float:
    """Mean LPIPS of pairs of images [N,3,S,S], each with the one that lies half the set away; N at least 2."""
    if len(images) < 2:
        raise ValueError(f"diversity is that of at least two images, got {len(images)}")
    half = len(images) // 2
    return float(perceptual(images[:half], images[half : 2 * half]).mean())


class Frechet:
    """Gathers two sets of images, batch by batch, and compares the Gaussians of their features."""

    def __init__(self, network: nn.Module) -> None:
        """`network`: images -> features [N,D], with `num_features` = D."""
        self.metric = FrechetInceptionDistance(feature=network)
        self.counts = [0, 0]

    def add(self, images: Tensor, *, real: bool) -> None:
        """Add a batch to the real or to the other set; the sums lie where it does."""
        self.metric.to(images.device).update(images, real=real)
        self.counts[real] += len(images)

    def distance(self) -> float:
        """The squared distance. ValueError before both sets have two images."""
        if min(self.counts) < 2:
            raise ValueError(f"a Frechet distance takes at least two images a set, got {self.counts}")
        return float(self.metric.compute())
