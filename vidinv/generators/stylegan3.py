"""Generate images with StyleGAN3 (Karras et al., "Alias-Free Generative Adversarial Networks"), config T or R.

The state's keys and shapes are those of the published `G_ema` (`mapping.fc{i}`, `synthesis.input`,
`synthesis.L{i}_{size}_{channels}`). There is no noise. Feature 0 is the Fourier input, which row 0 of w+
transforms; feature k is the output of layer k - 1, on a canvas with margins: 36x36 at first. The clamp for
half-precision training is omitted.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidinv.generators import alias_free, fir, modulated
from vidinv.generators.alias_free import Signal
from vidinv.generators.base import LayerSpec, Noise
from vidinv.generators.chain import Chain
from vidinv.generators.equalized import GAIN, SLOPE, EqualLinear, normalized

MAPPING_LAYERS, MAPPING_LR = 2, 0.01
LAYERS, CRITICAL = 14, 2
OUTPUT_SCALE = 0.25


class Mapping(nn.Module):
    """z (and the class) to w: two dense layers."""

    w_avg: Tensor  # [D], a buffer

    def __init__(self, w_dim: int, c_dim: int) -> None:
        super().__init__()
        self.embed = EqualLinear(c_dim, w_dim) if c_dim else None
        for index in range(MAPPING_LAYERS):
            width = w_dim * (2 if c_dim and index == 0 else 1)
            self.add_module(f"fc{index}", EqualLinear(width, w_dim, lr=MAPPING_LR, activate=True))
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        x = normalized(z)
        if self.embed is not None and c is not None:
            x = torch.cat([x, normalized(self.embed(c))], 1)
        for index in range(MAPPING_LAYERS):
            x = self.get_submodule(f"fc{index}")(x)
        return x


class FourierInput(nn.Module):
    """Waves of fixed frequencies below the cutoff, turned and moved by the style, mixed by a matrix (appendix F)."""

    freqs: Tensor  # [C,2], cycles per image side; buffers
    phases: Tensor  # [C], turns
    transform: Tensor  # [3,3], the user's own, on top

    def __init__(self, w_dim: int, signal: Signal) -> None:
        super().__init__()
        self.signal = signal
        self.weight = nn.Parameter(torch.randn(signal.channels, signal.channels))
        self.affine = EqualLinear(w_dim, 4)
        with torch.no_grad():
            self.affine.weight.zero_()
            self.affine.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))
        angle = 2 * torch.pi * torch.rand(signal.channels)  # evenly over the disc of frequencies
        radius = signal.cutoff * torch.rand(signal.channels).sqrt()
        self.register_buffer("freqs", radius[:, None] * torch.stack([angle.cos(), angle.sin()], 1))
        self.register_buffer("phases", torch.rand(signal.channels) - 0.5)
        self.register_buffer("transform", torch.eye(3))

    def forward(self, placing: Tensor) -> Tensor:
        """placing [N,4]: cosine and sine of the rotation (up to a factor), then the translation -> [N,C,h,w]."""
        placing = placing / placing[:, :2].norm(dim=1, keepdim=True)
        c, s, x, y = placing.unbind(1)
        zero, one = torch.zeros_like(c), torch.ones_like(c)
        turned = torch.stack([c, -s, zero, s, c, zero, zero, zero, one], 1).unflatten(1, (3, 3))
        moved = torch.stack([one, zero, -x, zero, one, -y, zero, zero, one], 1).unflatten(1, (3, 3))
        matrix = turned @ moved @ self.transform  # [N,3,3], of points of the image
        phases = self.phases + (self.freqs @ matrix[:, :2, 2:])[..., 0]  # [N,C]
        freqs = self.freqs @ matrix[:, :2, :2]  # [N,C,2]
        band = self.signal.rate / 2 - self.signal.cutoff  # waves that got too fast fade out over it
        amplitudes = (1 - (freqs.norm(dim=2) - self.signal.cutoff) / band).clamp(0, 1)
        size = self.signal.size
        place = (torch.arange(size, device=freqs.device, dtype=freqs.dtype) + 0.5 - size / 2) / self.signal.rate
        across = place[None, None, :, None] * freqs[:, None, None, :, 0]  # [N,1,w,C]
        along = place[None, :, None, None] * freqs[:, None, None, :, 1]  # [N,h,1,C]
        waves = torch.sin(2 * torch.pi * (across + along + phases[:, None, None])) * amplitudes[:, None, None]
        return (waves @ (self.weight / self.weight.shape[1] ** 0.5).T).permute(0, 3, 1, 2)


class Layer(nn.Module):
    """Modulated convolution, bias, and the leaky ReLU between two resamplings (section 3.2)."""

    magnitude_ema: Tensor  # [], mean square of the input over the training; a buffer, as are the filters
    up_filter: Tensor | None
    down_filter: Tensor | None

    def __init__(self, w_dim: int, before: Signal, after: Signal, side: int, *, to_rgb: bool, radial: bool) -> None:
        super().__init__()
        self.to_rgb = to_rgb
        self.plan = alias_free.resampling(before, after, side, to_rgb=to_rgb)
        self.affine = EqualLinear(w_dim, before.channels, bias=1.0)
        self.weight = nn.Parameter(torch.randn(after.channels, before.channels, side, side))
        self.bias = nn.Parameter(torch.zeros(after.channels))
        self.register_buffer("magnitude_ema", torch.ones(()))
        widths, rate = (2 * before.half_width, 2 * after.half_width), self.plan.rate
        up = alias_free.low_pass(self.plan.up_taps, before.cutoff, widths[0], rate)
        down = alias_free.low_pass(self.plan.down_taps, after.cutoff, widths[1], rate, radial=radial)
        self.register_buffer("up_filter", up)
        self.register_buffer("down_filter", down)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """x [N,I,h,w], style [N,I] -> [N,O,H,W]."""
        if self.to_rgb:
            style = style / (style.shape[1] * self.weight.shape[-1] ** 2) ** 0.5
        x = modulated.convolve(
            x,
            self.weight,
            style,
            self._convolution,
            bias=self.bias,
            gain=self.magnitude_ema.rsqrt(),
            demodulate=not self.to_rgb,
        )
        x = fir.interpolate(x, self.up_filter, self.plan.up, self.plan.padding)
        if not self.to_rgb:
            x = functional.leaky_relu(x, SLOPE) * GAIN
        return fir.decimate(x, self.down_filter, self.plan.down)

    @staticmethod
    def _convolution(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return functional.conv2d(x, weight, bias, padding=weight.shape[-1] - 1)


class Synthesis(nn.Module):
    """The parts that the checkpoints keep under `synthesis`: `input` and `L{i}_{size}_{channels}`."""

    def __init__(self, w_dim: int, signals: list[Signal], side: int, *, radial: bool, critical: int) -> None:
        super().__init__()
        self.input = FourierInput(w_dim, signals[0])
        last = len(signals) - 1
        self.names = []
        for index, signal in enumerate(signals):
            to_rgb = index == last
            layer = Layer(
                w_dim,
                signals[max(index - 1, 0)],
                signal,
                1 if to_rgb else side,
                to_rgb=to_rgb,
                radial=radial and index < last - critical,
            )
            self.names.append(f"L{index}_{signal.size}_{signal.channels}")
            self.add_module(self.names[-1], layer)

    def layer(self, index: int) -> Layer:
        """Layer `index`, the last one being the RGB image's."""
        layer = self.get_submodule(self.names[index])
        assert isinstance(layer, Layer)
        return layer


class StyleGAN3(Chain):
    """See the module docstring. Configuration T convolves 3x3; R 1x1, with radial filters and twice the channels."""

    def __init__(
        self,
        name: str,
        space: str,
        resolution: int = 1024,
        *,
        config: Literal["t", "r"] = "t",
        channel_base: int = 32768,
        channel_max: int = 512,
        layers: int = LAYERS,
        w_dim: int = 512,
        c_dim: int = 0,
    ) -> None:
        super().__init__()
        if config not in ("t", "r"):
            raise ValueError(f"StyleGAN3 has the configurations t and r, not {config!r}")
        self.name, self.space, self.resolution = name, space, resolution
        self.z_dim = self.w_dim = w_dim
        self.c_dim = c_dim
        radial, wider = config == "r", 2 if config == "r" else 1
        signals = alias_free.signals(resolution, layers, CRITICAL, wider * channel_base, wider * channel_max)
        self.num_ws = layers + 2
        self.mapping = Mapping(w_dim, c_dim)
        self.synthesis = Synthesis(w_dim, signals, 1 if radial else 3, radial=radial, critical=CRITICAL)
        first = LayerSpec("input", signals[0].channels, signals[0].size, (0,))
        others = (LayerSpec(f"L{k}", s.channels, s.size, (k + 1,)) for k, s in enumerate(signals[:-1]))
        self.layers = (first, *others)

    @property
    def w_avg(self) -> Tensor:  # type: ignore[override]
        return self.mapping.w_avg

    def map(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        self._check_latent(z, c)
        return self.mapping(z, c)

    def styles(self, ws: Tensor) -> list[Tensor]:
        """The input's placing [N,4], then one [N,C_i] per layer, the RGB image's last."""
        self._check(ws)
        affines = (self.synthesis.layer(index).affine for index in range(len(self.layers)))
        return [self.synthesis.input.affine(ws[:, 0]), *(affine(ws[:, k]) for k, affine in enumerate(affines, 1))]

    def _layer(self, k: int, x: Tensor | None, ws: Tensor, rows: list[Tensor], noise: Noise) -> Tensor:
        if x is None:
            return self.synthesis.input(rows[0])
        return self.synthesis.layer(k - 1)(x.contiguous(memory_format=torch.channels_last), rows[k])

    def _image(self, x: Tensor, picture: Tensor | None, rows: list[Tensor], size: int | None) -> Tensor:
        return self.synthesis.layer(len(self.layers) - 1)(x, rows[-1]).contiguous() * OUTPUT_SCALE


def tiny(name: str = "stylegan3-t-tiny", config: Literal["t", "r"] = "t") -> StyleGAN3:
    """A seeded random network of 32x32, for tests."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = StyleGAN3(name, f"{name}-w", 32, config=config, channel_base=128, channel_max=8, layers=4, w_dim=32)
        with torch.no_grad():
            network.synthesis.input.affine.weight.normal_(std=0.3)
            network.w_avg.copy_(network.sample(1000, seed=1).mean(0))
    return network.eval().requires_grad_(False)
