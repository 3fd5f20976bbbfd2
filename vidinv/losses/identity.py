"""Compute identity losses on a frozen recognition network (Feature-Style encoder paper, section 4)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from vidinv.faces.embedder import IdentityNetwork


def identity(network: IdentityNetwork, a: Tensor, b: Tensor) -> Tensor:
    """Return the batch mean of 1 - <R(a), R(b)>, R the L2-normalised embedding of aligned crops [N,3,S,S]; a scalar."""
    return 1 - (network.embed(a) * network.embed(b)).sum(1).mean()


def multi_layer_identity(network: IdentityNetwork, a: Tensor, b: Tensor) -> Tensor:
    """Sum over five taps of 1 - cos of the flattened features, mean over the batch.

    `a`, `b`: FFHQ-aligned crops [N,3,S,S] in [-1,1] -> scalar. Gradients reach both.
    """
    if a.shape != b.shape:
        raise ValueError(f"identity loss takes batches of one shape, got {tuple(a.shape)}, {tuple(b.shape)}")
    return tap_distance(network.taps(a), network.taps(b))


def tap_distance(a: Iterable[Tensor], b: Iterable[Tensor]) -> Tensor:
    """Sum over two networks' taps [N,...] of 1 - cos of the flattened features, mean over the batch -> scalar."""
    apart = [1 - F.cosine_similarity(x.flatten(1), y.flatten(1), dim=1).mean() for x, y in zip(a, b, strict=True)]
    return torch.stack(apart).sum()
