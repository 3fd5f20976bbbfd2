"""Measure the Frechet distance between the features of two image sets, and the diversity of a set.

FID is this distance on Inception-v3, whose weights no package provides; figures here are therefore comparable to each
other, not to published FIDs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from vidinv.losses.lpips import LPIPS


class LastTap(nn.Module):
    """Features [N,D] of images [N,3,S,S]: the deepest features of LPIPS's network, averaged over the pixels.

    They suit pictures that are too small for ImageNet classifiers; VGG16 gives D = 512.
    """

    def __init__(self, network: LPIPS) -> None:
        super().__init__()
        self.network = network
        self.num_features = int(network.heads[-1].shape[1])

    def forward(self, image: Tensor) -> Tensor:
        return self.network.features(image)[-1].mean((2, 3))


@torch.no_grad()
def diversity(perceptual: LPIPS, images: Tensor) -> float:
    """Return the mean LPIPS of N >= 2 images [N,3,S,S], each paired with the image half the set away."""
    if len(images) < 2:
        raise ValueError(f"diversity needs at least two images, got {len(images)}")
    half = len(images) // 2
    return float(perceptual(images[:half], images[half : 2 * half]).mean())


class Frechet:
    """Frechet distance of two image sets, accumulated batch by batch: compares the Gaussians of their features."""

    def __init__(self, network: nn.Module) -> None:
        """Use `network`: images -> features [N,D], with `num_features` = D."""
        self.metric = FrechetInceptionDistance(feature=network)
        self.counts = [0, 0]

    def add(self, images: Tensor, *, real: bool) -> None:
        """Add a batch to the real or to the other set; the sums are on the batch's device."""
        self.metric.to(images.device).update(images, real=real)
        self.counts[real] += len(images)

    def distance(self) -> float:
        """Return the squared distance. Raises ValueError before both sets have two images."""
        if min(self.counts) < 2:
            raise ValueError(f"a Frechet distance takes at least two images a set, got {self.counts}")
        return float(self.metric.compute())
