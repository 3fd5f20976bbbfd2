"""A small distilled head: the generator's 32x32 feature to a 128x128 image, for cheap gradients.

It stands in for the rest of the synthesis in training. It is a stand-in, never an output: `fidelity` in its metadata
says how far it is from the true image (PSNR, dB).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional

from vidinv.errors import UsageError
from vidinv.generators.base import Generator

SIDE = 32
ASSETS = Path(__file__).parent.parent / "assets"


class Modulated(nn.Module):
    """A convolution whose input channels are scaled by an affine function of the style."""

    def __init__(self, c_in: int, c_out: int, side: int, style: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, side, padding=side // 2)
        self.style = nn.Linear(style, c_in)
        nn.init.zeros_(self.style.weight)
        nn.init.ones_(self.style.bias)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return self.conv(x * self.style(style)[:, :, None, None])


class ProxyHead(nn.Module):
    """Feature [N,C,32,32] and ws [N,L,D] -> image [N,3,128,128]: modulated convolutions and two pixel shuffles."""

    def __init__(self, channels: int = 512, width: int = 192, slots: int = 9, w_dim: int = 512) -> None:
        super().__init__()
        self.slots = slots  # the last `slots` rows of ws colour what this head replaces
        style, fine = 128, width // 3
        self.style = nn.Linear(slots * w_dim, style)
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("std", torch.ones(1, channels, 1, 1))
        self.reduce = Modulated(channels, width, 1, style)
        self.coarse = nn.ModuleList(Modulated(width, width, 3, style) for _ in range(2))
        self.up = Modulated(width, 4 * fine, 3, style)
        self.fine = Modulated(fine, fine, 3, style)
        self.out = Modulated(fine, 12, 3, style)

    def forward(self, feature: Tensor, ws: Tensor) -> Tensor:
        if feature.shape[2:] != (SIDE, SIDE):
            raise ValueError(f"the proxy head reads a [N,C,{SIDE},{SIDE}] feature, got {tuple(feature.shape)}")
        with torch.autocast(feature.device.type, torch.bfloat16):
            style = self.style(ws[:, -self.slots :].flatten(1))
            x = ((feature - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
            x = functional.leaky_relu(self.reduce(x, style), 0.2)
            for layer in self.coarse:
                x = x + functional.leaky_relu(layer(x, style), 0.2)
            x = functional.leaky_relu(functional.pixel_shuffle(self.up(x, style), 2), 0.2)
            x = x + functional.leaky_relu(self.fine(x, style), 0.2)
            return functional.pixel_shuffle(self.out(x, style), 2).float()


class Proxy(nn.Module):
    """G with its tail replaced by the head: ws (and F at layer `at`) -> image [N,3,128,128]."""

    def __init__(self, generator: Generator, head: ProxyHead) -> None:
        super().__init__()
        self.generator, self.head = generator, head
        self.layer = generator.layer_at(SIDE)

    def forward(self, ws: Tensor, feature: Tensor | None = None, at: int | None = None) -> Tensor:
        return self.head(self.generator.synthesize(ws, feature=feature, at=at, stop=self.layer), ws)


HEADS: dict[str, Callable[[], ProxyHead]] = {
    "mobile-stylegan-ffhq-1024": lambda: load_head(ASSETS / "proxy_head.safetensors"),
    "mobile-stylegan-tiny": lambda: _tiny_head(),
}


def load(generator: Generator) -> Proxy:
    """The proxy of a registered generator, frozen, on its device."""
    if generator.name not in HEADS:
        raise UsageError(f"no proxy head for {generator.name!r}", remedy="distil one: python -m trainers.proxy_head")
    return Proxy(generator, HEADS[generator.name]().to(generator.w_avg.device)).eval().requires_grad_(False)


def load_head(path: Path) -> ProxyHead:
    """The distilled head from its safetensors file, frozen."""
    head = ProxyHead()
    with safe_open(str(path), framework="pt") as file:
        head.load_state_dict({key: file.get_tensor(key).float() for key in file.keys()})  # noqa: SIM118
    return head.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def _tiny_head() -> ProxyHead:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ProxyHead(channels=16, width=9, slots=1, w_dim=32)
