"""Encode images to unit vectors with a deep automodulator's spectrally normalised encoder (Heljakka et al., app. A).

Block b halves the side: two convolutions of 3x3, each normalised and followed by a leaky ReLU, and a mean over 2x2. At
4x4 a convolution and one over the whole map give D numbers, which are divided by their length.

A spectral norm of 1 reduces a random signal to about one half at every layer. Therefore only the first layer, which
reads the picture itself, has biases, and leaky ReLUs have a gain: after many layers, biases, which Adam changes by its
rate whatever the signal, would dominate it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from vidinv.encoders.base import Encoder
from vidinv.errors import UsageError
from vidinv.frames import Code
from vidinv.generators import automodulator
from vidinv.generators.automodulator import Automodulator
from vidinv.generators.base import Generator
from vidinv.generators.equalized import GAIN, SLOPE
from vidinv.generators.ops import resize

NARROW_FROM = 32  # pixels, the last side with all channels


def widths(resolution: int, most: int = 512) -> dict[int, int]:
    """Return channels by side: `most` up to 32 pixels, then halved with every doubling of the side.

    This gives the paper's 64, 128, 256, 512, 512, 512, 512 from 256 pixels down.
    """
    sides = automodulator.widths(resolution, most)
    return {side: max(1, most // max(1, side // NARROW_FROM)) for side in sides}


def _conv(c_in: int, c_out: int, side: int, padding: int) -> nn.Module:
    return spectral_norm(nn.Conv2d(c_in, c_out, side, padding=padding, bias=False))


class Lrelu(nn.Module):
    """sqrt(2) leaky_relu(x)."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x, SLOPE) * GAIN


def _block(c_in: int, c_out: int) -> nn.Sequential:
    """[N,I,h,w] -> [N,O,h/2,w/2]."""
    return nn.Sequential(_conv(c_in, c_in, 3, 1), Lrelu(), _conv(c_in, c_out, 3, 1), Lrelu(), nn.AvgPool2d(2))


class AutomodulatorEncoder(Encoder):
    """Encode images [N,3,S,S] to ws [N,L,D]: z [N,D] of length 1 in every row.

    While growing (`growing`), the halved picture also enters at half the side, and `share` is the blend weight of the
    first block.
    """

    gives_feature = False

    def __init__(
        self, channels: dict[int, int], slots: int, z_dim: int, *, space: str, at: int, growing: bool = False
    ) -> None:
        super().__init__()
        self.input_size, self.space, self.at, self.slots = max(channels), space, at, slots
        self.share = 1.0
        self.lrelu = Lrelu()
        sides = sorted(channels, reverse=True)
        self.from_rgb = nn.Conv2d(3, channels[sides[0]], 1)
        self.before = nn.Conv2d(3, channels[sides[1]], 1) if growing and len(sides) > 1 else None
        self.blocks = nn.ModuleDict({str(side): _block(channels[side], channels[side // 2]) for side in sides[:-1]})
        self.last = nn.Sequential(_conv(channels[4], channels[4], 3, 1), Lrelu(), _conv(channels[4], z_dim, 4, 0))
        with torch.no_grad():
            for first in (self.from_rgb, self.before):
                if first is not None:
                    nn.init.normal_(first.weight, std=3**-0.5)

    def forward(self, image: Tensor, c: Tensor | None = None) -> Code:
        if image.ndim != 4 or image.shape[1] != 3:
            raise ValueError(f"faces must be [N,3,S,S], got {tuple(image.shape)}")
        image = resize(image, self.input_size).contiguous(memory_format=torch.channels_last)  # quicker means over 2x2
        z = functional.normalize(self._features(image), dim=1)  # [N,D]
        return Code(z[:, None].expand(-1, self.slots, -1), z=z, space=self.space)

    def first(self, image: Tensor) -> Tensor:
        """Return the first block's output [N,C,S/2,S/2] of [N,3,S,S] (at 4x4, without a block, [N,C,S,S])."""
        x = self.lrelu(self.from_rgb(image))
        return next(iter(self.blocks.values()))(x) if self.blocks else x

    def stand_in(self, image: Tensor) -> Tensor:
        """Return the substitute [N,C,S/2,S/2] for the first block's output while it is blended in."""
        if self.before is None:
            raise ValueError("a network that does not grow has no substitute for its first block")
        return self.lrelu(self.before(resize(image, self.input_size // 2)))

    def _features(self, image: Tensor) -> Tensor:
        x = self.first(image)
        if self.before is not None and self.share < 1:
            x = torch.lerp(self.stand_in(image), x, self.share)
        for block in list(self.blocks.values())[1:]:
            x = block(x)
        return self.last(x).flatten(1)


def for_generator(generator: Generator, *, feature_side: int = 16, growing: bool = False) -> AutomodulatorEncoder:
    """Build an untrained encoder for an automodulator. Raises UsageError for a generator of another family."""
    if not isinstance(generator, Automodulator):
        raise UsageError(f"{generator.name} is not an automodulator", remedy="give the decoder trained with it")
    channels = widths(generator.resolution, generator.layers[0].channels)
    at = generator.layer_at(min(feature_side, generator.resolution))
    return AutomodulatorEncoder(
        channels, generator.num_ws, generator.z_dim, space=generator.space, at=at, growing=growing
    )
