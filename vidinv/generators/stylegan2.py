"""Generate images with StyleGAN2 (Karras et al., "Analyzing and Improving ..."), config F, at any resolution.

The state's keys and shapes are those of the common PyTorch checkpoints (`style.{1..8}`, `input`, `conv1`,
`to_rgb1`, `convs.{i}`, `to_rgbs.{i}`, `noises`), so that such a file's `g_ema` loads as it is. The average latent is
apart there and here: `w_avg` is not part of the state.

Features are numbered from zero: 0 is the constant, 1 the first convolution's output, k the output of `convs.{k-2}`,
each after modulation, noise, bias and leaky ReLU. Row k - 1 of w+ styles convolution k; the picture of convolution
k = 1, 3, 5 ... is styled by row k. The image is the sum of these pictures, and a feature handed in at k replaces the
layer's output after its picture was taken: for odd k the picture at its resolution still comes from G(w), for even k
it sees what was handed in.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidinv.generators import modulated
from vidinv.generators.base import LayerSpec, Noise
from vidinv.generators.chain import Chain, noise_map
from vidinv.generators.equalized import GAIN, SLOPE, Activation, EqualLinear, PixelNorm, normalized
from vidinv.generators.fir import Blur, Upsample

MAPPING_LR = 0.01


def widths(resolution: int, multiplier: float = 2, most: int = 512) -> dict[int, int]:
    """Return channels at 4, 8, ... `resolution`: 16384 * multiplier / side, at most `most`."""
    sides = [2**k for k in range(2, resolution.bit_length())]
    if resolution < 8 or sides[-1] != resolution:
        raise ValueError(f"the resolution must be a power of two from 8 on, got {resolution}")
    return {side: min(most, int(16384 * multiplier / side)) for side in sides}


class ModulatedConv(nn.Module):
    """The weights of a modulated convolution: `weight` [1,O,I,k,k], equalised, and the affine `modulation` of w."""

    def __init__(self, w_dim: int, c_in: int, c_out: int, side: int, *, up: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, c_out, c_in, side, side))
        self.modulation = EqualLinear(w_dim, c_in, bias=1.0)
        self.scale = 1 / (c_in * side**2) ** 0.5
        self.blur = Blur(padding=1, gain=4.0) if up else None

    def convolution(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """x [N,I,h,w] and weight [O,I,k,k] -> [N,O,h,w], or the doubled side: zeros between the samples, then blur."""
        if self.blur is None:
            return functional.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)
        return self.blur(functional.conv_transpose2d(x, weight.transpose(0, 1), stride=2), bias)


class NoiseStrength(nn.Module):
    """Scale of the noise map: `weight` [1]."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


class StyledConv(nn.Module):
    """sqrt(2) leaky_relu(demodulated convolution + noise + bias); `up` doubles the side and filters."""

    def __init__(self, w_dim: int, c_in: int, c_out: int, *, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv(w_dim, c_in, c_out, 3, up=up)
        self.noise = NoiseStrength()
        self.activate = Activation(c_out)

    def forward(self, x: Tensor, style: Tensor, noise: Tensor | None) -> Tensor:
        """x [N,I,h,w], style [N,I], noise [1 or N,1,H,W] or None -> [N,O,H,W]."""
        y = modulated.convolve(
            x,
            self.conv.weight[0],
            style * self.conv.scale,
            self.conv.convolution,
            bias=self.activate.bias * GAIN,  # the leaky ReLU is homogeneous: its gain is taken here
            gain=GAIN,
        )
        if noise is not None:
            y += noise * (self.noise.weight * GAIN)
        return functional.leaky_relu_(y, SLOPE)


class ToRGB(nn.Module):
    """Adds a feature's picture (modulated 1x1 convolution and bias) to the upsampled picture of the layers below."""

    def __init__(self, w_dim: int, channels: int, *, up: bool = True) -> None:
        super().__init__()
        self.conv = ModulatedConv(w_dim, channels, 3, 1)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.upsample = Upsample() if up else None

    def forward(self, x: Tensor, style: Tensor, below: Tensor | None) -> Tensor:
        picture = modulated.convolve(
            x,
            self.conv.weight[0],
            style * self.conv.scale,
            self.conv.convolution,
            bias=self.bias.flatten(),
            demodulate=False,
        )
        return picture if self.upsample is None or below is None else picture + self.upsample(below)


class ConstantInput(nn.Module):
    """The learned constant `input` [1,C,4,4]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))


class StyleGAN2(Chain):
    """See the module docstring. `channel_multiplier` and `channel_max` as in `widths`; `c_dim` classes, 0 for none."""

    sums_pictures = True

    def __init__(
        self,
        name: str,
        space: str,
        resolution: int = 1024,
        *,
        channel_multiplier: float = 2,
        channel_max: int = 512,
        w_dim: int = 512,
        c_dim: int = 0,
        mapping_layers: int = 8,
    ) -> None:
        super().__init__()
        self.name, self.space, self.resolution = name, space, resolution
        self.z_dim = self.w_dim = w_dim
        self.c_dim = c_dim
        channels = widths(resolution, channel_multiplier, channel_max)
        self.num_ws = 2 * len(channels)
        wide = [(2 if c_dim else 1) * w_dim] + [w_dim] * (mapping_layers - 1)
        self.style = nn.Sequential(
            PixelNorm(), *(EqualLinear(size, w_dim, lr=MAPPING_LR, activate=True) for size in wide)
        )
        self.embed = EqualLinear(c_dim, w_dim) if c_dim else None
        self.input = ConstantInput(channels[4])
        self.conv1 = StyledConv(w_dim, channels[4], channels[4])
        self.to_rgb1 = ToRGB(w_dim, channels[4], up=False)
        self.convs, self.to_rgbs = nn.ModuleList(), nn.ModuleList()
        for side, width in list(channels.items())[1:]:
            self.convs.append(StyledConv(w_dim, channels[side // 2], width, up=True))
            self.convs.append(StyledConv(w_dim, width, width))
            self.to_rgbs.append(ToRGB(w_dim, width))
        sides = [4] + [side for side in list(channels)[1:] for _ in range(2)]  # of convolutions 1, 2, ...
        self.noises = nn.Module()
        for index, side in enumerate(sides):
            self.noises.register_buffer(f"noise_{index}", torch.randn(1, 1, side, side))
        self.register_buffer("w_avg", torch.zeros(w_dim), persistent=False)
        self.layers = (
            LayerSpec("const", channels[4], 4, ()),
            *(LayerSpec(f"conv{k}", channels[side], side, (k - 1,)) for k, side in enumerate(sides, 1)),
        )

    @property
    def constant(self) -> Tensor:
        return self.input.input

    def map(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        self._check_latent(z, c)
        x = self.style[0](z)
        if self.embed is not None and c is not None:
            x = torch.cat([x, normalized(self.embed(c))], 1)
        return self.style[1:](x)

    def styles(self, ws: Tensor) -> list[Tensor]:
        """StyleSpace in its usual order: convolution 1, picture 1, convolutions 2 and 3, picture 3, and so on."""
        self._check(ws)
        rows = []
        for k in range(1, len(self.layers)):
            rows.append(self._convolution(k).conv.modulation(ws[:, k - 1]))
            if k % 2:
                rows.append(self._to_rgb(k).conv.modulation(ws[:, k]))
        return rows

    def _layer(self, k: int, x: Tensor | None, ws: Tensor, rows: list[Tensor], noise: Noise) -> Tensor:
        if k == 0:
            x = self.constant.expand(len(ws), -1, -1, -1) if x is None else x
            return x.contiguous(memory_format=torch.channels_last)
        assert x is not None
        x = x.contiguous(memory_format=torch.channels_last)  # given features may have another memory order
        fixed = self.noises.get_buffer(f"noise_{k - 1}")
        return self._convolution(k)(x, rows[k - 1 + k // 2], noise_map(fixed, len(ws), noise))

    def _draw(self, k: int, x: Tensor, picture: Tensor | None, rows: list[Tensor]) -> Tensor | None:
        return self._to_rgb(k)(x, rows[k + k // 2], picture) if k % 2 else picture

    def _image(self, x: Tensor, picture: Tensor | None, rows: list[Tensor], size: int | None) -> Tensor:
        assert picture is not None
        return picture.contiguous()

    def _convolution(self, k: int) -> StyledConv:
        layer = self.conv1 if k == 1 else self.convs[k - 2]
        assert isinstance(layer, StyledConv)
        return layer

    def _to_rgb(self, k: int) -> ToRGB:
        """Return the RGB layer of convolution k = 1, 3, 5 ..."""
        layer = self.to_rgb1 if k == 1 else self.to_rgbs[(k - 3) // 2]
        assert isinstance(layer, ToRGB)
        return layer


def tiny(name: str = "stylegan2-tiny", c_dim: int = 0) -> StyleGAN2:
    """A seeded random network of 64x64, for tests."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = StyleGAN2(name, space=f"{name}-w", resolution=64, channel_max=32, w_dim=32, c_dim=c_dim)
    with torch.no_grad():
        for layer in (network.conv1, *network.convs):
            layer.noise.weight.fill_(0.1)
        network.w_avg.copy_(network.sample(1000, seed=1).mean(0))
    return network.eval().requires_grad_(False)
