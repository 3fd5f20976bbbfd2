"""Structural similarity (Wang et al. 2004, eq. 13): kornia's, the only one that losses and metrics use."""

from __future__ import annotations

from kornia.metrics import ssim
from torch import Tensor

WINDOW, PEAK = 11, 2.0  # side of the Gaussian window (sigma 1.5) in pixels; range of pictures in [-1,1]


def ssim_map(a: Tensor, b: Tensor) -> Tensor:
    """SSIM [N,C,H,W] in [-1,1] around each pixel of two batches [N,C,H,W] in [-1,1], reflected at their borders.

    H and W are at least 6. Differentiable; its mean over C, H and W is the SSIM of a picture.
    """
    return ssim(a, b, WINDOW, PEAK)
