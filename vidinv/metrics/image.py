"""Compute mean squared error, PSNR and SSIM of images in [-1,1]."""

from __future__ import annotations

import torch
from torch import Tensor

from vidinv.losses.ssim import PEAK, ssim_map


def mse(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean squared error [N] of [N,C,H,W]."""
    _check(a, b)
    return (a - b).square().mean((1, 2, 3))


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio [N] in dB of [N,C,H,W] in [-1,1]; infinite for equal images."""
    return 10 * torch.log10(PEAK**2 / mse(a, b))


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Return the structural similarity [N] (Wang et al., 11x11 Gaussian, sigma 1.5) of [N,C,H,W] in [-1,1]."""
    _check(a, b)
    return ssim_map(a, b).mean((1, 2, 3))


def psnr_inside(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """Return the PSNR [N] in dB of [N,C,H,W] in [-1,1], weighted by `weight` [N,1,H,W] in [0,1]; NaN if it is 0."""
    _check(a, b)
    error = ((a - b).square().mean(1, keepdim=True) * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3))
    return 10 * torch.log10(PEAK**2 / error)


def ssim_inside(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """Return the SSIM [N] of [N,C,H,W], its map weighted by `weight` [N,1,H,W] in [0,1]; NaN if it is 0."""
    _check(a, b)
    found = ssim_map(a, b).mean(1, keepdim=True)  # [N,1,H,W]
    return (found * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3))


def _check(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape or a.ndim != 4:
        raise ValueError(
            f"image metrics take two batches [N,C,H,W] of one shape, got {tuple(a.shape)}, {tuple(b.shape)}"
        )
