"""Generate images with StyleGAN (Karras et al., "A Style-Based Generator Architecture for GANs").

The state's keys are those of the PyTorch conversions with `const`, `decode_block.{i}`, `to_rgb.{i}` and
`block_{1..8}.fc`; their weights already include the scales of the equalised learning rate. Where the side is 128 or
more the published network upsamples in one transposed convolution (weights [I,O,3,3]), below that by nearest
neighbours and a convolution ([O,I,3,3]). The blur, the average latent and the fixed noise are no part of the state.

Feature k is what row k of w+ has styled: convolution (the constant for k = 0), noise, bias, leaky ReLU, AdaIN.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidinv.generators import fir
from vidinv.generators.base import LayerSpec, Noise
from vidinv.generators.chain import Chain, noise_map
from vidinv.generators.equalized import SLOPE, normalized
from vidinv.generators.ops import by_channel, by_pixel, lies_channels_last
from vidinv.generators.stylegan2 import widths

MAPPING_LAYERS = 8
FUSED_FROM = 128  # side of the first feature that is upsampled by a transposed convolution
EPS = 1e-8


def adain(x: Tensor, style: Tensor) -> Tensor:
    """(1 + y_s) (x - mean(x)) / std(x) + y_b, per channel of x [N,C,h,w] over its pixels; style [N,2C] is y_s, y_b."""
    scale, shift = style.chunk(2, 1)
    if lies_channels_last(x):
        return _adain_by_pixel(x, scale, shift)
    variance, mean = torch.var_mean(x, (2, 3), correction=0)
    factor = (scale + 1) * (variance + EPS).rsqrt()  # [N,C]
    return torch.addcmul((shift - mean * factor)[:, :, None, None], x, factor[:, :, None, None])


def _adain_by_pixel(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Compute `adain` for channels-last x in its precision, where `var_mean` takes seven times as long on a CPU.

    The variance is computed after subtracting the mean, since bfloat16 cannot resolve large squares.
    """
    pixels = by_pixel(x)  # [N,h*w,C]
    pixels = pixels - pixels.mean(1, keepdim=True)
    factor = (scale[:, None] + 1) * (pixels.square().mean(1, keepdim=True) + EPS).rsqrt()  # [N,1,C]
    return by_channel(torch.addcmul(shift[:, None].to(x), pixels, factor.to(x)), *x.shape[2:])


def stamp(weight: Tensor) -> Tensor:
    """Extend a kernel [..., 3,3] to [..., 4,4], whose stride-2 transposed convolution includes nearest upsampling."""
    padded = functional.pad(weight, [1, 1, 1, 1])
    return padded[..., 1:, 1:] + padded[..., :-1, 1:] + padded[..., 1:, :-1] + padded[..., :-1, :-1]


class Weight(nn.Module):
    """The weight of a convolution without bias."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        fan_in = shape[1] * shape[2] * shape[3]
        self.weight = nn.Parameter(torch.randn(shape) * (2 / fan_in) ** 0.5)


class Dense(nn.Module):
    """leaky_relu(W x + b)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.fc = nn.Linear(c_in, c_out)
        nn.init.normal_(self.fc.weight, std=(2 / c_in) ** 0.5)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(self.fc(x), SLOPE)


class DecodeBlock(nn.Module):
    """The two layers of one resolution: part 1 doubles the side (or is the constant), part 2 keeps it."""

    kernel: Tensor  # [3,3], a buffer

    def __init__(self, w_dim: int, c_in: int, c_out: int, side: int) -> None:
        super().__init__()
        self.fused = side >= FUSED_FROM
        first = (c_in, c_out) if self.fused else (c_out, c_in)
        self.conv_1 = Weight(*first, 3, 3) if side > 4 else None
        self.conv_2 = Weight(c_out, c_out, 3, 3)
        for part in (1, 2):
            self.register_parameter(f"noise_weight_{part}", nn.Parameter(torch.zeros(1, c_out, 1, 1)))
            self.register_parameter(f"bias_{part}", nn.Parameter(torch.zeros(1, c_out, 1, 1)))
        self.style_1, self.style_2 = nn.Linear(w_dim, 2 * c_out), nn.Linear(w_dim, 2 * c_out)
        self.register_buffer("kernel", fir.separable((1.0, 2.0, 1.0)), persistent=False)

    def forward(self, x: Tensor, part: int, style: Tensor, noise: Tensor | None) -> Tensor:
        """x [N,I,h,w], style [N,2C], noise [1 or N,1,H,W] or None -> [N,C,H,W]."""
        if part == 2:
            x = functional.conv2d(x, self.conv_2.weight, padding=1)
        elif self.conv_1 is not None:
            weight = self.conv_1.weight if self.fused else self.conv_1.weight.flip(2, 3).transpose(0, 1)
            x = functional.conv_transpose2d(x, stamp(weight), stride=2, padding=1)
            x = fir.blur(x, self.kernel, 1)
        if noise is not None:
            x = torch.addcmul(x, noise, self.get_parameter(f"noise_weight_{part}"))
        return adain(functional.leaky_relu(x + self.get_parameter(f"bias_{part}"), SLOPE), style)


class ToRGB(nn.Module):
    """1x1 convolution to RGB."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_rgb = nn.Conv2d(channels, 3, 1)


class StyleGAN1(Chain):
    """See the module docstring. `channel_multiplier` and `channel_max` as in `stylegan2.widths`; 1 is as published."""

    def __init__(
        self,
        name: str,
        space: str,
        resolution: int = 1024,
        *,
        channel_multiplier: float = 1,
        channel_max: int = 512,
        w_dim: int = 512,
    ) -> None:
        super().__init__()
        self.name, self.space, self.resolution = name, space, resolution
        self.z_dim = self.w_dim = w_dim
        channels = widths(resolution, channel_multiplier, channel_max)
        self.num_ws = 2 * len(channels)
        for k in range(1, MAPPING_LAYERS + 1):
            self.add_module(f"block_{k}", Dense(w_dim, w_dim))
        self.const = nn.Parameter(torch.ones(1, channels[4], 4, 4))
        self.decode_block = nn.ModuleList(
            DecodeBlock(w_dim, channels[max(4, side // 2)], width, side) for side, width in channels.items()
        )
        self.to_rgb = nn.ModuleList(ToRGB(width) for width in channels.values())  # only the last draws
        self.register_buffer("w_avg", torch.zeros(w_dim), persistent=False)
        random = torch.Generator().manual_seed(0)
        for k in range(self.num_ws):
            fixed = torch.randn(1, 1, 4 << k // 2, 4 << k // 2, generator=random, device="cpu")
            self.register_buffer(f"noise_{k}", fixed, persistent=False)
        self.layers = tuple(
            LayerSpec(f"block{k // 2}.{k % 2 + 1}", channels[4 << k // 2], 4 << k // 2, (k,))
            for k in range(self.num_ws)
        )

    @property
    def constant(self) -> Tensor:
        return self.const

    def map(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        self._check_latent(z, c)
        x = normalized(z)
        for k in range(1, MAPPING_LAYERS + 1):
            x = self.get_submodule(f"block_{k}")(x)
        return x

    def styles(self, ws: Tensor) -> list[Tensor]:
        """Return the AdaIN vectors (y_s, y_b), one [N,2C] per layer."""
        self._check(ws)
        return [self.decode_block[k // 2].get_submodule(f"style_{k % 2 + 1}")(ws[:, k]) for k in range(self.num_ws)]

    def _layer(self, k: int, x: Tensor | None, ws: Tensor, rows: list[Tensor], noise: Noise) -> Tensor:
        x = self.const.expand(len(ws), -1, -1, -1) if x is None else x
        x = x.contiguous(memory_format=torch.channels_last)
        own = noise_map(self.get_buffer(f"noise_{k}"), len(ws), noise)
        return self.decode_block[k // 2](x, k % 2 + 1, rows[k], own)

    def _image(self, x: Tensor, picture: Tensor | None, rows: list[Tensor], size: int | None) -> Tensor:
        last = self.to_rgb[-1]
        assert isinstance(last, ToRGB)
        return last.to_rgb(x).contiguous()


def tiny(name: str = "stylegan1-tiny") -> StyleGAN1:
    """A seeded random network of 32x32, for tests."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = StyleGAN1(name, space=f"{name}-w", resolution=32, channel_max=16, w_dim=32)
        with torch.no_grad():
            network.const.normal_()
            for key, parameter in network.named_parameters():
                if "noise_weight" in key:
                    parameter.normal_(std=0.1)
            network.w_avg.copy_(network.sample(1000, seed=1).mean(0))
    return network.eval().requires_grad_(False)
