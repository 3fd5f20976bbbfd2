"""LPIPS v0.1 by the package `lpips` (extra [lpips]) with our weights: a second implementation of the same distance."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vidinv.extras import load_optional
from vidinv.losses.lpips import LPIPS

NETWORKS = {5: "alex", 13: "vgg"}  # the package's name of a backbone, by its count of convolutions


def packaged_lpips(ours: LPIPS) -> Callable[[Tensor, Tensor], Tensor]:
    """The package's distance with the weights of `ours`: two batches [N,3,H,W] in [-1,1] -> [N], on the same device.

    Nothing is fetched. Raises UsageError where the package is missing or does not load.
    """
    package = load_optional("lpips", "--lpips package", instead="use --lpips ours")
    network: nn.Module = package.LPIPS(
        net=NETWORKS[len(ours.weights)], version="0.1", pretrained=False, pnet_rand=True, verbose=False
    )
    convolutions = [module for module in network.net.modules() if isinstance(module, nn.Conv2d)]  # type: ignore[union-attr]
    heads = [head.model[-1] for head in network.lins]  # type: ignore[union-attr]
    with torch.no_grad():
        for layer, weight, bias in zip(convolutions, ours.weights, ours.biases, strict=True):
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)  # type: ignore[union-attr]
        for head, weight in zip(heads, ours.heads, strict=True):
            head.weight.copy_(weight)
    network = network.to(ours.shift.device).eval().requires_grad_(False)

    def distance(a: Tensor, b: Tensor) -> Tensor:
        found: Tensor = network(a, b)  # [N,1,1,1]
        return found.flatten()

    return distance
