"""Decode latents with a deep automodulator's decoder (Heljakka et al., "Deep Automodulators", appendices A and B).

A latent z on the unit sphere modulates every convolution's output by AdaIN; nothing else of it reaches the canvas,
which begins as ones. Block b draws at 4 * 2^b pixels: nearest neighbours x2 (but in the first), convolution, binomial
filter, noise, leaky ReLU, AdaIN; convolution, noise, leaky ReLU, AdaIN. Feature k is what row k of w+ has modulated,
so that L_j, L_inv, mixing and scale-specific edits are `start`, `stop` and `canvas` of `synthesize`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidinv.generators import fir
from vidinv.generators.base import LayerSpec, Noise
from vidinv.generators.chain import Chain, noise_map
from vidinv.generators.equalized import GAIN, SLOPE, EqualConv
from vidinv.generators.ops import resize
from vidinv.generators.stylegan1 import adain


def widths(resolution: int, most: int = 512, halves_from: int = 128) -> dict[int, int]:
    """Return channels by side: `most` below `halves_from`, then halved with every doubling of the side.

    The paper's 512 five times, 256, 128 at 256 pixels; with 64 for `halves_from` CelebA-HQ's 512 four times, 256, 128,
    64.
    """
    sides = [2**k for k in range(2, resolution.bit_length())]
    if not sides or sides[-1] != resolution:
        raise ValueError(f"the resolution must be a power of two from 4 on, got {resolution}")
    return {side: max(1, most // max(1, 2 * side // halves_from)) for side in sides}


class Modulation(nn.Module):
    """The affine g: z [N,D] -> (s - 1, m) [N,2C], the new deviation and mean of every channel.

    z has the length 1, so weights of unit variance, not divided by sqrt(D), make g vary by 1 as well. With the usual
    scale it would vary by 1 / sqrt(D), and different z begin as nearly the same picture.
    """

    def __init__(self, z_dim: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2 * channels, z_dim))
        self.bias = nn.Parameter(torch.zeros(2 * channels))  # a deviation of 1, which `adain` adds, and a mean of 0

    def forward(self, z: Tensor) -> Tensor:
        return functional.linear(z, self.weight, self.bias)


class Layer(nn.Module):
    """Convolution (after doubling the side and before a filter, where it is the first of its block), noise, AdaIN."""

    kernel: Tensor  # [3,3], a buffer

    def __init__(self, z_dim: int, c_in: int, c_out: int, *, first: bool, up: bool) -> None:
        super().__init__()
        self.first, self.up = first, up
        self.conv = EqualConv(c_in, c_out, 3, padding=1, gain=GAIN)
        self.noise = nn.Parameter(torch.zeros(1))  # one scale for all maps of the layer
        self.modulation = Modulation(z_dim, c_out)
        self.register_buffer("kernel", fir.separable((1.0, 2.0, 1.0)), persistent=False)

    def forward(self, x: Tensor, style: Tensor, noise: Tensor | None) -> Tensor:
        """x [N,I,h,w], style [N,2C], noise [1 or N,1,H,W] or None -> [N,C,H,W]."""
        if self.up:
            x = functional.interpolate(x, scale_factor=2, mode="nearest")
        x = self.conv(x)
        if self.first:
            x = fir.blur(x, self.kernel, 1)
        if noise is not None:
            x = x + (noise * self.noise).to(x)
        return adain(functional.leaky_relu(x, SLOPE), style)


class Automodulator(Chain):
    """See the module docstring. `extra` adds a second block of 8x8, which L_inv over mirror pairs needs (section 4).

    While growing (`growing`), the picture of half the side is rendered too, and `share` is the blend weight of the last
    block; a finished network has no such part.
    """

    def __init__(
        self,
        name: str,
        space: str,
        resolution: int = 256,
        *,
        channel_max: int = 512,
        halves_from: int = 128,
        w_dim: int = 512,
        extra: bool = False,
        growing: bool = False,
    ) -> None:
        super().__init__()
        self.name, self.space, self.resolution = name, space, resolution
        self.z_dim = self.w_dim = w_dim
        channels = widths(resolution, channel_max, halves_from)
        sides = [side for side in channels for _ in range(2 if extra and side == 8 else 1)]  # of the blocks
        self.num_ws = 2 * len(sides)
        self.share = 1.0
        before = [4, *sides[:-1]]  # side that each block begins with
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                (
                    Layer(w_dim, channels[low], channels[side], first=True, up=side > low),
                    Layer(w_dim, channels[side], channels[side], first=False, up=False),
                )
            )
            for low, side in zip(before, sides, strict=True)
        )
        self.to_rgb = EqualConv(channels[resolution], 3, 1)
        self.before = EqualConv(channels[resolution // 2], 3, 1) if growing and resolution > 4 else None
        self.register_buffer("ones", torch.ones(1, channels[4], 4, 4), persistent=False)
        self.register_buffer("w_avg", torch.zeros(w_dim), persistent=False)  # the sphere's middle
        self.layers = tuple(
            LayerSpec(f"block{k // 2}.{k % 2 + 1}", channels[sides[k // 2]], sides[k // 2], (k,))
            for k in range(self.num_ws)
        )
        self.before_at = None if self.before is None else self.layer_at(resolution // 2)
        random = torch.Generator().manual_seed(0)
        for k, spec in enumerate(self.layers):
            fixed = torch.randn(1, 1, spec.resolution, spec.resolution, generator=random, device="cpu")
            self.register_buffer(f"noise_{k}", fixed, persistent=False)

    @property
    def constant(self) -> Tensor:
        return self.get_buffer("ones")

    def map(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Normalise z to the unit sphere; there is no mapping network."""
        self._check_latent(z, c)
        return functional.normalize(z, dim=1)

    def styles(self, ws: Tensor) -> list[Tensor]:
        """Return (s - 1, m) of every layer, one [N,2C] each."""
        self._check(ws)
        return [self._own(k).modulation(ws[:, k]) for k in range(self.num_ws)]

    def _own(self, k: int) -> Layer:
        block = self.blocks[k // 2]
        assert isinstance(block, nn.ModuleList)
        layer = block[k % 2]
        assert isinstance(layer, Layer)
        return layer

    def _layer(self, k: int, x: Tensor | None, ws: Tensor, rows: list[Tensor], noise: Noise) -> Tensor:
        x = self.constant.expand(len(ws), -1, -1, -1) if x is None else x
        own = noise_map(self.get_buffer(f"noise_{k}"), len(ws), noise)
        return self._own(k)(x.contiguous(memory_format=torch.channels_last), rows[k], own)

    def _draw(self, k: int, x: Tensor, picture: Tensor | None, rows: list[Tensor]) -> Tensor | None:
        """Render the picture of half the side, while the last block is blended in."""
        return self.before(x) if self.before is not None and self.share < 1 and k == self.before_at else picture

    def _image(self, x: Tensor, picture: Tensor | None, rows: list[Tensor], size: int | None) -> Tensor:
        image = self.to_rgb(x)
        if picture is not None:
            image = torch.lerp(resize(picture, self.resolution), image, self.share)
        return image.contiguous()


def tiny(name: str = "automodulator-tiny", *, extra: bool = False) -> Automodulator:
    """A seeded random network of 32x32, for tests."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Automodulator(name, f"{name}-z", 32, channel_max=16, halves_from=64, w_dim=32, extra=extra)
        with torch.no_grad():
            for key, parameter in network.named_parameters():
                if key.endswith("noise"):
                    parameter.fill_(0.1)
    return network.eval().requires_grad_(False)
