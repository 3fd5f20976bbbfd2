"""Compute the Laplacian pyramid (Burt and Adelson) and its distance, the reconstruction loss of near-perfect inversion.

A squared error hardly measures fine detail, since most of a picture's variance is coarse; the pyramid weights each
octave separately.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

KERNEL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)  # binomial, along each axis


def bands(image: Tensor, levels: int = 4) -> list[Tensor]:
    """Decompose image [N,C,H,W] into `levels` high bands, finest first, and the low band: [N,C,H/2^k,W/2^k].

    H and W are multiples of 2^levels. A constant image has high bands of zeros.
    """
    height, width = image.shape[-2:]
    if image.ndim != 4 or height % 2**levels or width % 2**levels:
        raise ValueError(f"{levels} levels need [N,C,H,W] divisible by {2**levels}, got {tuple(image.shape)}")
    found = []
    for _ in range(levels):
        coarse = _halved(image)
        found.append(image - _doubled(coarse))
        image = coarse
    return [*found, image]


def image_of(pyramid: Sequence[Tensor]) -> Tensor:
    """Reconstruct the image [N,C,H,W] from its `bands`, up to rounding."""
    *high, image = pyramid
    for band in reversed(high):
        image = band + _doubled(image)
    return image


def distance(a: Tensor, b: Tensor, levels: int = 4, finer: float = 0.5) -> Tensor:
    """Return the mean absolute difference of the pyramids of a and b [N,C,H,W], a scalar.

    The coarsest band has weight 1, each finer one `finer` times the next coarser. The pyramid is linear, so the bands
    of the difference are used. (Bojanowski et al., "Optimizing the Latent Space of Generative Networks", use 2^2k for
    band k of a sum, which in means is `finer` = 1.)
    """
    if a.shape != b.shape:
        raise ValueError(f"images must have one shape, got {tuple(a.shape)}, {tuple(b.shape)}")
    found = bands(a - b, levels)
    return torch.stack([finer ** (levels - k) * band.abs().mean() for k, band in enumerate(found)]).sum()


def _blurred(image: Tensor) -> Tensor:
    """Filter both axes by KERNEL with mirrored borders."""
    channels = image.shape[1]
    line = image.new_tensor(KERNEL)
    kernel = (line[:, None] * line).expand(channels, 1, 5, 5)
    return functional.conv2d(functional.pad(image, (2, 2, 2, 2), mode="reflect"), kernel, groups=channels)


def _halved(image: Tensor) -> Tensor:
    return _blurred(image)[..., ::2, ::2]


def _doubled(image: Tensor) -> Tensor:
    """Upsample bilinearly, so that a constant stays constant up to the border."""
    return functional.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
