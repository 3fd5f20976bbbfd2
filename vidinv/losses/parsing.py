"""Compute the multi-layer parsing loss (Feature-Style encoder paper, section 3.2)."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from vidinv.losses.identity import tap_distance


class Taps(Protocol):
    """A parser that returns its intermediate features, such as `vidinv.faces.parser.BiSeNet`."""

    def taps(self, image: Tensor) -> tuple[Tensor, ...]: ...


def multi_layer_parsing(network: Taps, a: Tensor, b: Tensor) -> Tensor:
    """Sum over the parser's taps of 1 - cos of the flattened features, mean over the batch.

    `a`, `b`: crops [N,3,S,S] in [-1,1], S a multiple of 32 (the paper's are 512) -> scalar. Gradients reach both.
    """
    if a.shape != b.shape:
        raise ValueError(f"parsing loss takes batches of one shape, got {tuple(a.shape)}, {tuple(b.shape)}")
    return tap_distance(network.taps(a), network.taps(b))
