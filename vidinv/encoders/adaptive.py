"""Encode images with adaptive encoders, which mirror a generator block by block.

Yu, Wang and Bugiolacchi, "Improving generative adversarial network inversion via fine-tuning GAN encoders", section
3.1, tables 9 and 10. Each block halves the side. The outputs depend on the generator: a StyleGAN's rows of w+ are
computed from the statistics of the layers' inputs, and its constant input is the 4x4 feature; a PGGAN's z and a
BigGAN's class and z are computed from the 4x4 feature. Widths mirror the generator's: 16384 / side channels at the
input, doubled up to 512.

Where the paper leaves a choice: the constant is a difference from the generator's own, each channel scaled by a factor
that starts at 0, and rows of w start at the mean, so that an untrained encoder gives the mean face. Noise is used in
training only, so that a video does not flicker.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidinv.encoders.base import Encoder
from vidinv.frames import Code
from vidinv.generators.base import Generator
from vidinv.generators.biggan import BigGAN
from vidinv.generators.equalized import GAIN, SLOPE, EqualConv, EqualLinear
from vidinv.generators.ops import resize

MOST = 512  # maximum number of channels
KEPT = 0.889  # share of a block's input in its output; the residual branch has 0.111
CLASS_DIM = 256  # of the embedded class that conditions the batch norms
EPS = 1e-5  # of a variance
FIRST_SPREAD = 0.1  # of the untrained style layers' weights


def widths(side: int, first: int | None = None) -> tuple[int, ...]:
    """Return the blocks' channels from the image to 4x4: first, 2 first, ... 512; first defaults to 16384 / side."""
    if side < 8 or side & (side - 1):
        raise ValueError(f"an encoder's side is a power of two from 8 on, got {side}")
    first = min(MOST, 16384 // side) if first is None else first
    return tuple(min(MOST, first << k) for k in range(side.bit_length() - 2))


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation [N,C] of each channel of x [N,C,h,w] over its pixels."""
    y = x.float()
    mean = y.mean((2, 3))
    variance = (y.square().mean((2, 3)) - mean.square()).clamp(min=0)  # var_mean is five times as slow
    return mean, (variance + EPS).sqrt()


class StyleStatistics(nn.Module):
    """Map each channel's mean and standard deviation, both [N,C], to rows of w [N,rows,D]."""

    def __init__(self, channels: int, w_dim: int, rows: int = 1) -> None:
        super().__init__()
        self.rows = rows
        self.fc = EqualLinear(2 * channels, rows * w_dim)

    def forward(self, mean: Tensor, deviation: Tensor) -> Tensor:
        return self.fc(torch.cat([mean, deviation], 1)).unflatten(1, (self.rows, -1))


class ConditionalBatchNorm(nn.Module):
    """Batch norm whose scale 1 + s and shift o are linear in the embedded class c [N,256]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale, self.shift = EqualLinear(CLASS_DIM, channels), EqualLinear(CLASS_DIM, channels)
        for linear in (self.scale, self.shift):
            nn.init.normal_(linear.weight, std=FIRST_SPREAD)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        return self.norm(x) * (1 + self.scale(c))[:, :, None, None] + self.shift(c)[:, :, None, None]


class Layer(nn.Module):
    """Normalise, convolve 3x3, add noise of a learned strength, leaky ReLU.

    A layer with `rows` also gives that many rows of w+, from its input's statistics. A class-conditional layer
    normalises by batch and class, any other by instance.
    """

    def __init__(self, c_in: int, c_out: int, w_dim: int, *, rows: int, conditional: bool) -> None:
        super().__init__()
        self.style = StyleStatistics(c_in, w_dim, rows) if rows else None
        self.norm = ConditionalBatchNorm(c_in) if conditional else None
        self.conv = EqualConv(c_in, c_out, 3, padding=1, gain=GAIN)
        self.noise = nn.Parameter(torch.zeros(1, c_out, 1, 1)) if rows else None

    def forward(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """Map x [N,I,h,w] to [N,O,h,w], and return the rows [N,R,D] of w+ from its statistics."""
        rows = []
        if self.norm is not None:
            y = self.norm(x, c)
        else:
            mean, deviation = statistics(x)
            rows = [] if self.style is None else [self.style(mean, deviation)]
            shift, factor = (-mean / deviation).to(x), (1 / deviation).to(x)
            y = torch.addcmul(shift[:, :, None, None], x, factor[:, :, None, None])  # (x - mean) / deviation
        y = self.conv(y)
        if self.noise is not None and self.training:
            y = y + self.noise * torch.randn_like(y[:, :1])
        return functional.leaky_relu(y, SLOPE), rows


class Block(nn.Module):
    """Two layers and a halving: [N,I,h,w] -> 0.111 pool(made) + 0.889 pool(kept) [N,O,h/2,w/2]."""

    def __init__(self, c_in: int, c_out: int, w_dim: int, *, rows: tuple[int, int], conditional: bool) -> None:
        super().__init__()
        self.first = Layer(c_in, c_in, w_dim, rows=rows[0], conditional=conditional)
        self.second = Layer(c_in, c_out, w_dim, rows=rows[1], conditional=conditional)
        self.skip = EqualConv(c_in, c_out, 1, bias=False) if c_in != c_out else None

    def forward(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        made, first = self.first(x, c)
        made, second = self.second(made, c)
        kept = functional.avg_pool2d(x, 2)
        kept = kept if self.skip is None else self.skip(kept)
        return (1 - KEPT) * functional.avg_pool2d(made, 2) + KEPT * kept, first + second


class Trunk(nn.Module):
    """All blocks and the last layer at 4x4: image [N,3,S,S] -> [N,512,4,4] and the rows of w+.

    `rows` is their number, two per block, or 0; if an encoder is smaller than its generator, the image's own statistics
    give all the finest rows.
    """

    def __init__(self, side: int, first: int | None, w_dim: int, *, rows: int, conditional: bool = False) -> None:
        super().__init__()
        wide = widths(side, first)
        blocks = len(wide)
        if rows and rows < 2 * blocks:
            raise ValueError(f"{blocks} blocks give {2 * blocks} rows of w+, but the generator has {rows}")
        each = [1 if rows else 0] * (2 * blocks - 2)
        each[0] += max(rows - 2 * blocks, 0)
        self.from_rgb = EqualConv(3, wide[0], 1)
        self.blocks = nn.ModuleList(
            Block(wide[k], wide[k + 1], w_dim, rows=(each[2 * k], each[2 * k + 1]), conditional=conditional)
            for k in range(blocks - 1)
        )
        self.last = Layer(wide[-1], wide[-1], w_dim, rows=each[-1], conditional=conditional)
        self.width = wide[-1]

    def forward(self, image: Tensor, c: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        x = self.from_rgb(image)
        rows: list[Tensor] = []
        for block in self.blocks:
            x, found = block(x, c)
            rows += found
        made, found = self.last(x, c)
        return (1 - KEPT) * made + KEPT * x, rows + found


class Adaptive(Encoder):
    """Base of the three families: input handling, and the layer of `feature_side` that F would replace."""

    gives_feature = False

    def __init__(self, generator: Generator, side: int, feature_side: int) -> None:
        super().__init__()
        self.space, self.input_size, self.at = generator.space, side, generator.layer_at(feature_side)

    def _seen(self, image: Tensor) -> Tensor:
        if image.ndim != 4 or image.shape[1] != 3 or image.shape[2] != image.shape[3]:
            raise ValueError(f"the encoder reads [N,3,S,S] images, got {tuple(image.shape)}")
        return resize(image, self.input_size).contiguous(memory_format=torch.channels_last)


class StyleEncoder(Adaptive):
    """For StyleGAN1, StyleGAN2 and MobileStyleGAN: a row of w+ per layer, and the constant input."""

    w_avg: Tensor  # [D], a buffer
    own: Tensor  # [1,C,4,4], the generator's constant, a buffer

    def __init__(
        self, generator: Generator, side: int | None = None, first: int | None = None, feature_side: int = 16
    ) -> None:
        natural = 2 << generator.num_ws // 2
        super().__init__(generator, min(side or natural, natural), feature_side)
        assert generator.constant is not None
        self.trunk = Trunk(self.input_size, first, generator.w_dim, rows=generator.num_ws)
        self.style = StyleStatistics(self.trunk.width, generator.w_dim)  # of what the constant is made of
        channels = generator.constant.shape[1]
        self.fit = EqualConv(self.trunk.width, channels, 1, bias=False) if channels != self.trunk.width else None
        self.scale = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.register_buffer("w_avg", generator.w_avg.detach().clone().float())
        self.register_buffer("own", generator.constant.detach().clone().float())
        for module in self.modules():
            if isinstance(module, StyleStatistics):
                nn.init.normal_(module.fc.weight, std=FIRST_SPREAD)

    def forward(self, image: Tensor, c: Tensor | None = None) -> Code:
        x, rows = self.trunk(self._seen(image))
        rows.append(self.style(*statistics(x)))
        ws = torch.cat(rows, 1).flip(1).float() + self.w_avg  # from 4x4 up, as the generator's layers are
        x = x if self.fit is None else self.fit(x)
        return Code(ws, const=(self.own + self.scale * x).float(), space=self.space)


class LatentEncoder(Adaptive):
    """For PGGAN: z, which is the one row of w+."""

    def __init__(
        self, generator: Generator, side: int | None = None, first: int | None = None, feature_side: int = 16
    ) -> None:
        if generator.c_dim:
            raise ValueError(f"{generator.name} has classes, which this encoder does not support")
        super().__init__(generator, side or generator.resolution, feature_side)
        self.trunk = Trunk(self.input_size, first, generator.w_dim, rows=0)
        self.z = EqualLinear(16 * self.trunk.width, generator.z_dim)

    def forward(self, image: Tensor, c: Tensor | None = None) -> Code:
        x, _ = self.trunk(self._seen(image))
        z = self.z(x.flatten(1)).float()
        return Code(z[:, None], z=z, space=self.space)


class ClassEncoder(Adaptive):
    """For BigGAN: c' from the 4x4 feature and z' from c'; the row of w+ is [z' | the class part of c'].

    `c` [N,classes] (one-hot or a blend) is the class of the picture.
    """

    def __init__(
        self, generator: Generator, side: int | None = None, first: int | None = None, feature_side: int = 16
    ) -> None:
        super().__init__(generator, side or generator.resolution, feature_side)
        self.classes, self.z_dim = generator.c_dim, generator.z_dim
        self.embed = EqualLinear(generator.c_dim, CLASS_DIM)
        self.trunk = Trunk(self.input_size, first, generator.w_dim, rows=0, conditional=True)
        self.c = EqualLinear(16 * self.trunk.width, generator.w_dim)
        self.z = EqualLinear(generator.w_dim, generator.z_dim)

    def forward(self, image: Tensor, c: Tensor | None = None) -> Code:
        if c is None or c.shape != (len(image), self.classes):
            raise ValueError(f"c must be [{len(image)},{self.classes}], got {None if c is None else tuple(c.shape)}")
        x, _ = self.trunk(self._seen(image), self.embed(c))
        row = self.c(x.flatten(1)).float()
        z = self.z(row).float()
        return Code(torch.cat([z, row[:, self.z_dim :]], 1)[:, None], z=z, c=c, space=self.space)


def for_generator(
    generator: Generator, side: int | None = None, first: int | None = None, feature_side: int = 16
) -> Adaptive:
    """Build an untrained encoder that mirrors `generator`; `side` and `first` width can make it smaller.

    It gives no F. A run refines an F of `feature_side` pixels that starts at the generator's own feature of the code
    (`encoder_file.GeneratorFeature`). Raises ValueError for a generator of another kind.
    """
    if generator.constant is not None:
        return StyleEncoder(generator, side, first, feature_side)
    if isinstance(generator, BigGAN):
        return ClassEncoder(generator, side, first, feature_side)
    if generator.num_ws == 1:
        return LatentEncoder(generator, side, first, feature_side)
    raise ValueError(f"no adaptive encoder mirrors {generator.name!r}: it has neither a constant input nor one latent")
