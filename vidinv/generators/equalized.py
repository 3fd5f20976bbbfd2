"""Implement layers with an equalised learning rate: weights have unit variance and are scaled on use.

Karras et al., "Progressive Growing of GANs", section 4.1: w = w_stored * gain / sqrt(fan in).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2  # of every leaky ReLU of these families
GAIN = 2**0.5  # keeps the variance through a leaky ReLU


def normalized(x: Tensor) -> Tensor:
    """Divide x by its root mean square over axis 1 (channels, or the entries of a latent)."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class PixelNorm(nn.Module):
    """`normalized` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return normalized(x)


class EqualLinear(nn.Module):
    """y = lr W x / sqrt(in) + lr b, [N,in] -> [N,out]; with `activate`, sqrt(2) leaky_relu(y).

    `lr` is the learning rate's multiplier: weights are stored 1 / lr as large.
    """

    def __init__(self, c_in: int, c_out: int, *, lr: float = 1.0, bias: float = 0.0, activate: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(c_out, c_in) / lr)
        self.bias = nn.Parameter(torch.full((c_out,), bias / lr))
        self.scale, self.lr, self.activate = lr / c_in**0.5, lr, activate

    def forward(self, x: Tensor) -> Tensor:
        y = functional.linear(x, self.weight * self.scale, self.bias * self.lr)
        return functional.leaky_relu(y, SLOPE) * GAIN if self.activate else y


class EqualConv(nn.Module):
    """Convolution of [N,in,h,w] with gain * W / sqrt(in * side^2), and a bias where `bias` says so."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        side: int,
        *,
        stride: int = 1,
        padding: int = 0,
        gain: float = 1.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(c_out, c_in, side, side))
        self.bias = nn.Parameter(torch.zeros(c_out)) if bias else None
        self.scale = gain / (c_in * side**2) ** 0.5
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight * self.scale, self.bias, self.stride, self.padding)


class Activation(nn.Module):
    """sqrt(2) leaky_relu(x + bias) of x [N,C,h,w] or [N,C]; `bias` is [C]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x + self.bias.view(-1, *[1] * (x.ndim - 2)), SLOPE) * GAIN
