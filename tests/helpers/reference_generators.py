"""The papers' operations written out in float64, one sample and one step at a time: the witness of the parity tests."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

BINOMIAL = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64)


def zeros_between(x: Tensor, factor: int) -> Tensor:
    """[N,C,h,w] -> [N,C,h*factor,w*factor]: each sample followed by zeros."""
    n, c, h, w = x.shape
    wide = x.new_zeros(n, c, h * factor, w * factor)
    wide[:, :, ::factor, ::factor] = x
    return wide


def fir(x: Tensor, kernel: Tensor, before: int, after: int) -> Tensor:
    """Zeros added (or, where negative, samples cut) on every side, then each channel convolved with kernel [S,T]."""
    x = functional.pad(x, [before, after, before, after])
    flipped = kernel.to(x.dtype).flip(0, 1)[None, None]
    return torch.cat([functional.conv2d(channel[:, None], flipped) for channel in x.unbind(1)], 1)


def smooth(gain: float) -> Tensor:
    """The 4x4 binomial filter whose entries sum to `gain`."""
    kernel = torch.outer(BINOMIAL, BINOMIAL)
    return kernel * gain / kernel.sum()


def linear(x: Tensor, weight: Tensor, bias: Tensor, lr: float = 1.0) -> Tensor:
    """Equalised: the stored weight is scaled by lr / sqrt(fan in), the stored bias by lr."""
    return x @ (weight.double() * lr / weight.shape[1] ** 0.5).T + bias.double() * lr


def lrelu(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x)


def unit_rms(x: Tensor) -> Tensor:
    """Divided by the root mean square over axis 1."""
    return x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()


def modulated_weight(weight: Tensor, style: Tensor, demodulate: bool = True) -> Tensor:
    """Eq. 1 and 3 of the StyleGAN2 paper for one sample: weight [O,I,k,k], style [I] -> [O,I,k,k]."""
    made = weight.double() * style[None, :, None, None]
    if demodulate:
        made = made / (made.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
    return made


def relative_error(made: Tensor, expected: Tensor) -> float:
    """The largest difference over the largest value."""
    return float((made.detach().double() - expected).abs().max() / expected.abs().max())
