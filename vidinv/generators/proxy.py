"""A small distilled head: the generator's 64x64 feature to a 128x128 image, for cheap gradients.

It stands in for the rest of the synthesis in training and in the first steps of a refinement. It is a
stand-in, never an output: `fidelity` in its metadata says how far it is from the true image (PSNR, dB).
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional

from vidinv.generators.base import Generator

SIDE = 64


class ProxyHead(nn.Module):
    """Feature [N,C,64,64] and ws [N,L,D] -> image [N,3,128,128]; two modulated convolutions and a pixel shuffle."""

    def __init__(self, channels: int = 512, width: int = 96, slots: int = 7, w_dim: int = 512) -> None:
        super().__init__()
        self.slots = slots  # the last `slots` rows of ws colour what this head replaces
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("std", torch.ones(1, channels, 1, 1))
        self.reduce = nn.Conv2d(channels, width, 1)
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.out = nn.Conv2d(width, 12, 3, padding=1)
        self.styles = nn.ModuleList(nn.Linear(slots * w_dim, size) for size in (channels, width, width))
        for style in self.styles:
            nn.init.zeros_(style.weight)
            nn.init.ones_(style.bias)

    def forward(self, feature: Tensor, ws: Tensor) -> Tensor:
        if feature.shape[2:] != (SIDE, SIDE):
            raise ValueError(f"the proxy head reads a [N,C,{SIDE},{SIDE}] feature, got {tuple(feature.shape)}")
        rows = ws[:, -self.slots :].flatten(1)
        first, second, third = (style(rows)[:, :, None, None] for style in self.styles)
        x = functional.leaky_relu(self.reduce((feature - self.mean) / self.std * first), 0.2)
        x = functional.leaky_relu(self.conv(x * second), 0.2)
        return functional.pixel_shuffle(self.out(x * third), 2)


class Proxy(nn.Module):
    """G with its tail replaced by the head: ws (and F at layer `at`) -> image [N,3,128,128]."""

    def __init__(self, generator: Generator, head: ProxyHead) -> None:
        super().__init__()
        self.generator, self.head = generator, head
        self.layer = generator.layer_at(SIDE)

    def forward(self, ws: Tensor, feature: Tensor | None = None, at: int | None = None) -> Tensor:
        return self.head(self.generator.synthesize(ws, feature=feature, at=at, stop=self.layer), ws)


def load_head(path: Path) -> ProxyHead:
    """The distilled head from its safetensors file, frozen."""
    head = ProxyHead()
    with safe_open(str(path), framework="pt") as file:
        head.load_state_dict({key: file.get_tensor(key).float() for key in file.keys()})  # noqa: SIM118
    return head.eval().requires_grad_(False)
