"""The Laplacian pyramid (Burt and Adelson) and the distance on it: what near-perfect inversion reconstructs by.

A squared error is all but blind to what is fine, since most of a picture's variance is coarse; the pyramid weighs each
octave for itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

KERNEL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)  # binomial, along each axis


def bands(image: Tensor, levels: int = 4) -> list[Tensor]:
    """image [N,C,H,W] -> `levels` high bands, the finest first, then what is left: [N,C,H/2^k,W/2^k], k from 0 on.

    H and W are multiples of 2^levels. A constant image has high bands of zeros.
    """
    height, width = image.shape[-2:]
    if image.ndim != 4 or height % 2**levels or width % 2**levels:
        raise ValueError(f"{levels} levels halve [N,C,H,W] as often, got {tuple(image.shape)}")
    found = []
    for _ in range(levels):
        coarse = _halved(image)
        found.append(image - _doubled(coarse))
        image = coarse
    return [*found, image]


def image_of(pyramid: Sequence[Tensor]) -> Tensor:
    """The image that `bands` took apart, but for rounding: [N,C,H,W]."""
    *high, image = pyramid
    for band in reversed(high):
        image = band + _doubled(image)
    return image


def distance(a: Tensor, b: Tensor, levels: int = 4, finer: float = 0.5) -> Tensor:
    """Mean absolute difference of two pyramids, [N,C,H,W] each -> scalar; a band weighs `finer` times the next coarser.

    The coarsest weighs 1. The pyramid is linear, so the bands of the difference are looked at. (Bojanowski et al.,
    "Optimizing the Latent Space of Generative Networks", have 2^2k for band k of a sum, which as means is `finer` = 1.)
    """
    if a.shape != b.shape:
        raise ValueError(f"images of one shape are compared, got {tuple(a.shape)}, {tuple(b.shape)}")
    found = bands(a - b, levels)
    return torch.stack([finer ** (levels - k) * band.abs().mean() for k, band in enumerate(found)]).sum()


def _blurred(image: Tensor) -> Tensor:
    """Both axes by KERNEL, the borders mirrored."""
    channels = image.shape[1]
    line = image.new_tensor(KERNEL)
    kernel = (line[:, None] * line).expand(channels, 1, 5, 5)
    return functional.conv2d(functional.pad(image, (2, 2, 2, 2), mode="reflect"), kernel, groups=channels)


def _halved(image: Tensor) -> Tensor:
    return _blurred(image)[..., ::2, ::2]


def _doubled(image: Tensor) -> Tensor:
    """Bilinear, so that a constant stays one to the border."""
    return functional.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
