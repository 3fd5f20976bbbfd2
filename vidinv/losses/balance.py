"""Compute the path length penalty of a generator, and the adaptive weight of a loss."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

LARGEST = 1e4  # of the adaptive weight


def path_lengths(image: Tensor, ws: Tensor, noise: Tensor) -> Tensor:
    """|J^T y| of every sample, y `noise` over the side ("Analyzing and Improving ...", eq. 4); -> [N].

    `image` [N,3,S,S] was drawn of `ws` [N,L,D], and `noise` is standard normal of the image's shape; the squares are
    averaged over the rows. Has gradients itself.
    """
    y = noise / (image.shape[2] * image.shape[3]) ** 0.5
    (slope,) = torch.autograd.grad((image * y).sum(), ws, create_graph=True)
    return slope.square().sum(2).mean(1).sqrt()


class PathLength(torch.nn.Module):
    """The mean of (|J^T y| - a)^2, a the running mean `average` of the lengths."""

    average: Tensor  # [], a buffer

    def __init__(self, decay: float = 0.01) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("average", torch.zeros(()))

    def forward(self, lengths: Tensor) -> Tensor:
        """Update the average with lengths [N] and return their penalty, a scalar."""
        with torch.no_grad():
            self.average.lerp_(lengths.mean(), self.decay)
        return (lengths - self.average).square().mean()


def adaptive_weight(
    wanted: Tensor, other: Tensor, at: Tensor, length: Callable[[Tensor], Tensor] = torch.linalg.vector_norm
) -> Tensor:
    """Return |d wanted / d at| / (|d other / d at| + 1e-4), at most 1e4, detached; a scalar.

    With this weight, the gradient of `other` at the tensor `at`, from which both were computed, is as large as that of
    `wanted`; a constant factor of `other` cancels out (AE-StyleGAN, d_w). `length` is the norm of a gradient.
    """
    (one,) = torch.autograd.grad(wanted, at, retain_graph=True)
    (two,) = torch.autograd.grad(other, at, retain_graph=True)
    return (length(one) / (length(two) + 1e-4)).clamp(0, LARGEST).detach()
