"""Generate images with MobileStyleGAN, a StyleGAN2 student with depthwise-separable convolutions and wavelet output.

The 1024 network has 16 W+ slots: slot 0 is the 4x4 convolution, slots 1+2i and 2+2i are block i, slot 15 the image.
Demodulation does not depend on the style and is folded into the weights; noise maps are frozen constants.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional

from vidinv.generators.base import LayerSpec, Noise
from vidinv.generators.chain import Chain
from vidinv.generators.haar import inverse_haar
from vidinv.generators.kernels import frozen, fused
from vidinv.generators.ops import by_channel, by_pixel, lies_channels_last

LAST = 64  # side in pixels of the first feature that lies channels last in memory
FFHQ_CHANNELS = (512, 512, 512, 512, 512, 256, 128, 64)  # of the features at 4, 8, ... 512


def pointwise(x: Tensor, weight: Tensor, style: Tensor) -> Tensor:
    """Convolve x [N,C,h,w], channels scaled by style [N,C], with weight [D,C,1,1] -> [N,D,h*w].

    One matrix product per sample is twice as fast on a CPU as the convolution.
    """
    return torch.bmm(_scaled(weight, style), x.flatten(2))


def pointwise_last(x: Tensor, weight: Tensor, style: Tensor) -> Tensor:
    """Compute `pointwise` for channels-last x; the result is channels last too, viewed as [N,D,h*w]."""
    return torch.bmm(by_pixel(x), _scaled(weight, style).transpose(1, 2)).transpose(1, 2)


def goes_in_one_pass(x: Tensor, network: nn.Module) -> bool:
    """Return whether a large feature uses the compiled kernels (`fused.py`): run by torch, without trained weights."""
    is_trained = torch.is_grad_enabled() and any(each.requires_grad for each in network.parameters())
    return fused.takes(x) and not is_trained


def _scaled(weight: Tensor, style: Tensor) -> Tensor:
    return weight[None, :, :, 0, 0] * style[:, None]  # [N,D,C]


class Modulation(nn.Module):
    """style = W w + b, with the network's constant scale folded in: w [N,512] -> [N,C]."""

    def __init__(self, w_dim: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, w_dim) * 0.3 / w_dim**0.5)
        self.bias = nn.Parameter(torch.ones(channels))

    def forward(self, w: Tensor) -> Tensor:
        return functional.linear(w, self.weight, self.bias)


class StyledConv(nn.Module):
    """Modulate, convolve (dense 3x3, or depthwise 3x3 then pointwise), add noise and bias, leaky ReLU."""

    noise: Tensor  # [1,1,h,w], a buffer

    def __init__(self, w_dim: int, c_in: int, c_out: int, resolution: int, *, separable: bool) -> None:
        super().__init__()
        self.style = Modulation(w_dim, c_in)
        side = 1 if separable else 3
        self.weight = nn.Parameter(torch.randn(c_out, c_in, side, side) * (2 / (c_in * side * side)) ** 0.5)
        self.depthwise = nn.Parameter(torch.randn(c_in, 1, 3, 3) / 3) if separable else None
        self.register_buffer("noise", torch.randn(1, 1, resolution, resolution) * 0.1)
        self.bias = nn.Parameter(torch.zeros(1, c_out, 1, 1))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        if self.depthwise is None:
            x = functional.conv2d(x * style[:, :, None, None], self.weight, padding=1)
            return functional.leaky_relu(x + self.noise + self.bias, 0.2)
        x = functional.conv2d(x, self.depthwise, padding=1, groups=x.shape[1])
        y = pointwise(x, self.weight, style)  # [N,D,h*w]; the style commutes with a depthwise convolution
        # In place, and before the view: the product itself is not needed, and memory bandwidth limits these layers.
        noise, bias = (value.flatten(2).to(y.dtype) for value in (self.noise, self.bias))  # sums of two kinds are slow
        return functional.leaky_relu_(y.add_(noise).add_(bias), 0.2).unflatten(2, x.shape[2:])

    def in_one_pass(self, x: Tensor, style: Tensor) -> Tensor:
        """Compute a separable layer with frozen weights for channels-last x, in one pass over memory."""
        assert self.depthwise is not None
        x = frozen.depthwise(x, self.depthwise)
        y = torch.bmm(by_pixel(x), _scaled(self.weight, style).transpose(1, 2))  # [N,h*w,D]
        return by_channel(frozen.activate(y, self.noise, self.bias), *x.shape[2:])


class Block(nn.Module):
    """Doubles the side by an inverse Haar transform of the modulated feature, then two styled convolutions.

    Large features are channels last if no weight needs a gradient: a depthwise convolution on a CPU then takes a
    seventh of the time, and the transform needs no shuffle.
    """

    def __init__(self, w_dim: int, c_in: int, c_out: int, resolution: int) -> None:
        super().__init__()
        self.up = Modulation(w_dim, c_in)
        self.is_large = resolution >= LAST
        self.conv1 = StyledConv(w_dim, c_in // 4, c_out, resolution, separable=True)
        self.conv2 = StyledConv(w_dim, c_out, c_out, resolution, separable=True)

    def forward(self, x: Tensor, up: Tensor, style1: Tensor, style2: Tensor) -> Tensor:
        if self.is_large and goes_in_one_pass(x, self):
            x = frozen.inverse_haar(x.contiguous(memory_format=torch.channels_last), up)
            return self.conv2.in_one_pass(self.conv1.in_one_pass(x, style1), style2)
        x = inverse_haar(x * up[:, :, None, None])
        return self.conv2(self.conv1(x, style1), style2)


class ToImage(nn.Module):
    """Modulated 1x1 convolution to the 12-channel Haar map of an RGB image."""

    def __init__(self, w_dim: int, channels: int) -> None:
        super().__init__()
        self.style = Modulation(w_dim, channels)
        self.weight = nn.Parameter(torch.randn(12, channels, 1, 1) / channels**0.5)
        self.bias = nn.Parameter(torch.zeros(1, 12, 1, 1))

    def forward(self, x: Tensor, style: Tensor, bands: int = 12) -> Tensor:
        """The first `bands` channels of the map; three are the low band, the picture at half its size."""
        product = pointwise_last if lies_channels_last(x) else pointwise
        map_ = product(x, self.weight[:bands], style).contiguous()  # [N,bands,h*w]
        return map_.unflatten(2, x.shape[2:]) + self.bias[:, :bands]


class MobileStyleGAN(Chain):
    """See the module docstring. `channels[k]` is the width of feature k, whose side is 4 * 2**k."""

    noise_modes = ("const",)  # frozen maps
    is_light = True

    def __init__(self, name: str, space: str, channels: tuple[int, ...] = FFHQ_CHANNELS, w_dim: int = 512) -> None:
        super().__init__()
        self.name, self.space = name, space
        self.z_dim = self.w_dim = w_dim
        self.num_ws = 2 * len(channels)
        self.resolution = 8 * 2 ** (len(channels) - 1)
        self.mapping = nn.ModuleList(nn.Linear(w_dim, w_dim) for _ in range(8))
        self.const = nn.Parameter(torch.randn(1, channels[0], 4, 4))
        self.stem = StyledConv(w_dim, channels[0], channels[0], 4, separable=False)
        self.blocks = nn.ModuleList(
            Block(w_dim, channels[k], channels[k + 1], 8 * 2**k) for k in range(len(channels) - 1)
        )
        self.to_image = ToImage(w_dim, channels[-1])
        self.register_buffer("w_avg", torch.zeros(w_dim))
        self.layers = tuple(
            LayerSpec(f"feature{4 * 2**k}", width, 4 * 2**k, (0,) if k == 0 else (2 * k - 1, 2 * k))
            for k, width in enumerate(channels)
        )

    @property
    def constant(self) -> Tensor:
        return self.const

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return full and half size; half size is exact, the low band of the Haar output."""
        return (self.resolution // 2, self.resolution)

    def map(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        self._check_latent(z, c)
        x = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.mapping:
            x = functional.leaky_relu(layer(x), 0.2) * 2**0.5
        return x

    def styles(self, ws: Tensor) -> list[Tensor]:
        """One [N,C] per modulation: stem; then up, conv1, conv2 of every block; then the image."""
        self._check(ws)
        rows = [self.stem.style(ws[:, 0])]
        for k, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            first, second = ws[:, 2 * k + 1], ws[:, 2 * k + 2]
            rows += [block.up(first), block.conv1.style(first), block.conv2.style(second)]
        return [*rows, self.to_image.style(ws[:, -1])]

    def _layer(self, k: int, x: Tensor | None, ws: Tensor, rows: list[Tensor], noise: Noise) -> Tensor:
        if k == 0:
            return self.stem(self.const.expand(len(ws), -1, -1, -1) if x is None else x, rows[0])
        assert x is not None
        up, style1, style2 = rows[3 * k - 2 : 3 * k + 1]
        return self.blocks[k - 1](x, up, style1, style2)

    def _image(self, x: Tensor, picture: Tensor | None, rows: list[Tensor], size: int | None) -> Tensor:
        if size in (None, self.resolution):
            return inverse_haar(self.to_image(x, rows[-1]))
        return self.to_image(x, rows[-1], bands=3) * 0.5


def load_ffhq(path: Path, name: str = "mobile-stylegan-ffhq-1024") -> MobileStyleGAN:
    """Load the converted FFHQ network from its safetensors file, frozen and in eval mode."""
    network = MobileStyleGAN(name, space="mobile-stylegan-ffhq-w")
    with safe_open(str(path), framework="pt") as file:
        network.load_state_dict({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    return network.eval().requires_grad_(False)


def tiny(name: str = "mobile-stylegan-tiny") -> MobileStyleGAN:
    """A seeded random network of the same shape at 64x64, for tests."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = MobileStyleGAN(name, space="mobile-stylegan-tiny-w", channels=(32, 32, 32, 16), w_dim=32)
        for layer in network.mapping:
            assert isinstance(layer, nn.Linear)
            torch.nn.init.normal_(layer.weight, std=32**-0.5)
    network.w_avg.copy_(network.sample(1000, seed=1).detach().mean(0))
    return network.eval().requires_grad_(False)
