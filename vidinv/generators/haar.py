"""Compute the Haar wavelet transform of 2x2 cells and its inverse, differentiable to any order.

Both are orthogonal, so each is the other's gradient. The gradients are explicit because those that autograd derives
from sums and a pixel shuffle pass three times as often over memory, whose bandwidth limits these layers.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vidinv.generators.ops import is_exported


def inverse_haar(bands: Tensor) -> Tensor:
    """Transform bands [N,4C,h,w] to an image [N,C,2h,2w].

    The first C channels are the low band; the other 3C hold, channel by channel, the vertical, horizontal and
    diagonal detail.
    """
    return _exportable(bands) if is_exported() else _Inverse.apply(bands)


def haar(image: Tensor) -> Tensor:
    """Transform an image [N,C,2h,2w] to bands [N,4C,h,w], ordered as in `inverse_haar`."""
    return _Forward.apply(image)


def _exportable(bands: Tensor) -> Tensor:
    """Compute the inverse by sums only, for export to engines other than torch."""
    a, b, c, d = _bands(bands * 0.5)
    cells = torch.stack((a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d), 2)
    return functional.pixel_shuffle(cells.flatten(1, 2), 2)


class _Inverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, bands: Tensor) -> Tensor:
        n, channels, height, width = bands.shape
        c = channels // 4
        cells = bands.new_empty(n, c, 4, height, width)
        _butterfly(_bands(bands), _cells(cells))
        return functional.pixel_shuffle(cells.flatten(1, 2), 2)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return haar(gradient)


class _Forward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, image: Tensor) -> Tensor:
        n, c, height, width = image.shape
        bands = image.new_empty(n, 4 * c, height // 2, width // 2)
        _butterfly(_cells(functional.pixel_unshuffle(image, 2).unflatten(1, (c, 4))), _bands(bands))
        return bands

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return inverse_haar(gradient)


Four = tuple[Tensor, Tensor, Tensor, Tensor]


def _bands(x: Tensor) -> Four:
    """Return views of the low, vertical, horizontal and diagonal bands: four [N,C,h,w]."""
    c = x.shape[1] // 4
    detail = x[:, c:].unflatten(1, (c, 3))
    return x[:, :c], detail[:, :, 0], detail[:, :, 1], detail[:, :, 2]


def _cells(x: Tensor) -> Four:
    """Return views of the upper left, lower left, upper right and lower right samples: four [N,C,h,w]."""
    return x[:, :, 0], x[:, :, 2], x[:, :, 1], x[:, :, 3]


def _butterfly(source: Four, target: Four) -> None:
    """Compute target = H source with the symmetric, orthogonal 4x4 matrix H of entries +-1/2."""
    a, b, c, d = source
    total, differ = (a + b).mul_(0.5), (a - b).mul_(0.5)
    torch.add(c, d, out=(across := torch.empty_like(total)))
    torch.add(total, across, alpha=0.5, out=target[0])
    torch.sub(total, across, alpha=0.5, out=target[2])
    torch.sub(c, d, out=across)
    torch.add(differ, across, alpha=0.5, out=target[1])
    torch.sub(differ, across, alpha=0.5, out=target[3])
