"""Encode images with the light Feature-Style encoder: a residual network with a style (w+) and a feature (F) branch.

It follows the published encoder (Sec. 3.1 of the paper) at a size for two CPU cores: a 256x256 input folded to 64x64
pixels of 48 channels, stages at 64, 32, 16, 8 and 4; F from a small U-Net decoder at 16x16; w+ from a shared vector and
low-rank rows per slot.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidinv.encoders.base import Encoder
from vidinv.frames import Code
from vidinv.generators.base import Generator
from vidinv.generators.ops import resize
from vidinv.weights import quantized_file

if TYPE_CHECKING:
    from typing_extensions import Unpack


SHIPPED = Path(__file__).parent.parent / "assets" / "feature_style_light.safetensors"


class ResidualBlock(nn.Module):
    """conv3x3 - BN - PReLU - conv3x3 (carries the stride) - BN, plus identity or a strided 1x1."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(c_in, c_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(c_out),
            nn.PReLU(c_out),
            nn.Conv2d(c_out, c_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(c_out),
        )
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or c_in != c_out:
            self.skip = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(self.body(x) + self.skip(x), 0.1)


class PreActivatedBlock(nn.Module):
    """x + conv3x3(PReLU(BN(conv3x3(PReLU(BN(x)))))): initially the identity, so that a trained network can add it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.PReLU(channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.PReLU(channels),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        nn.init.zeros_(self.body[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.body[-1].bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _stage(c_in: int, c_out: int, blocks: int) -> nn.Sequential:
    rest = [ResidualBlock(c_out, c_out) for _ in range(blocks - 1)]
    return nn.Sequential(ResidualBlock(c_in, c_out, stride=2), *rest)


def _deeper(channels: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(PreActivatedBlock(channels) for _ in range(blocks)))


class StyleHead(nn.Module):
    """Map a vector [N,V] to offsets [N,L,D] from the average latent: one shared row plus a low-rank row per slot."""

    def __init__(self, width: int, slots: int, w_dim: int, rank: int) -> None:
        super().__init__()
        self.shared = nn.Linear(width, w_dim)
        self.rank = nn.Linear(width, slots * rank)
        self.rows = nn.Parameter(torch.randn(slots, rank, w_dim) * 0.1 / rank**0.5)
        nn.init.normal_(self.shared.weight, std=0.2 / width**0.5)
        nn.init.normal_(self.rank.weight, std=0.2 / width**0.5)

    def forward(self, x: Tensor) -> Tensor:
        slots, rank, _ = self.rows.shape
        parts = self.rank(x).view(-1, slots, rank)
        return self.shared(x)[:, None] + torch.einsum("nlr,lrd->nld", parts, self.rows)


class FeatureStyleLight(Encoder):
    """Encode images [N,3,S,S] in [-1,1] to Code(ws [N,L,D], feature [N,C,16,16]).

    `w_avg` [D] and the feature's per-channel `f_mean`, `f_std` [1,C,1,1] come from the generator, so that the
    network starts at the mean face.
    """

    w_avg: Tensor
    f_mean: Tensor
    f_std: Tensor

    def __init__(
        self,
        space: str,
        *,
        at: int,
        slots: int = 16,
        w_dim: int = 512,
        channels: int = 512,
        feature_side: int = 16,
        widths: tuple[int, int, int, int, int] = (64, 128, 256, 384, 512),
        blocks: tuple[int, int, int, int] = (2, 3, 2, 1),
        deeper: tuple[int, int, int] = (2, 3, 2),
        input_size: int = 256,
        rank: int = 48,
    ) -> None:
        super().__init__()
        self.space, self.at, self.input_size, self.feature_side = space, at, input_size, feature_side
        if input_size % (4 * feature_side):
            raise ValueError(f"the input's side must be a multiple of {4 * feature_side}, got {input_size}")
        self.fold = input_size // (4 * feature_side)  # pixels per side that are folded into channels
        c64, c32, c16, c8, c4 = widths
        self.stem = nn.Sequential(
            nn.Conv2d(3 * self.fold**2, c64, 3, padding=1, bias=False),
            nn.BatchNorm2d(c64),
            nn.PReLU(c64),
            ResidualBlock(c64, c64),
        )
        self.stage32 = _stage(c64, c32, blocks[0])
        self.stage16 = _stage(c32, c16, blocks[1])
        self.deeper32, self.deeper16 = _deeper(c32, deeper[0]), _deeper(c16, deeper[1])
        self.stage8 = _stage(c16, c8, blocks[2])
        self.stage4 = _stage(c8, c4, blocks[3])
        self.from8 = nn.Conv2d(c8, c16, 1)
        self.from32 = nn.Conv2d(c32, c16, 3, 2, 1)
        self.decode = ResidualBlock(c16, c16)
        self.deeper_decode = _deeper(c16, deeper[2])
        self.feature = nn.Conv2d(c16, channels, 3, padding=1)
        self.squeeze = nn.Sequential(nn.Conv2d(c4, 128, 1), nn.PReLU(128))
        self.vector = nn.Sequential(nn.Linear(128 * 16 + c4 + c16, 512), nn.PReLU(512))
        self.style = StyleHead(512, slots, w_dim, rank)
        self.register_buffer("w_avg", torch.zeros(w_dim))
        self.register_buffer("f_mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("f_std", torch.ones(1, channels, 1, 1))

    def forward(self, image: Tensor, c: Tensor | None = None) -> Code:
        if image.ndim != 4 or image.shape[1] != 3:
            raise ValueError(f"the encoder reads [N,3,S,S] images, got {tuple(image.shape)}")
        x64 = self.stem(functional.pixel_unshuffle(resize(image, self.input_size), self.fold))
        x32 = self.deeper32(self.stage32(x64))
        x16 = self.deeper16(self.stage16(x32))
        x8 = self.stage8(x16)
        x4 = self.stage4(x8)
        up = functional.interpolate(self.from8(x8), scale_factor=2, mode="bilinear", align_corners=False)
        feature = self.feature(self.deeper_decode(self.decode(x16 + up + self.from32(x32))))
        pooled = torch.cat([self.squeeze(x4).flatten(1), x4.mean((2, 3)), x16.mean((2, 3))], 1)
        ws = self.w_avg + self.style(self.vector(pooled)).float()
        return Code(ws, self.f_mean + self.f_std * feature.float(), self.at, space=self.space)


class Sizes(TypedDict, total=False):
    """Size settings of `FeatureStyleLight`."""

    widths: tuple[int, int, int, int, int]
    blocks: tuple[int, int, int, int]
    deeper: tuple[int, int, int]
    input_size: int
    rank: int


TINY_SIZES = Sizes(widths=(8, 16, 16, 16, 16), blocks=(1, 1, 1, 1), deeper=(1, 1, 1), rank=4)  # for tests


def for_generator(generator: Generator, **sizes: Unpack[Sizes]) -> FeatureStyleLight:
    """Build an untrained encoder whose mean output is the generator's mean face (statistics of 256 samples)."""
    at = generator.layer_at(16)
    spec = generator.layers[at]
    encoder = FeatureStyleLight(
        generator.space, at=at, slots=generator.num_ws, w_dim=generator.w_dim, channels=spec.channels, **sizes
    )
    with torch.no_grad():
        feature = generator.synthesize(generator.broadcast(generator.sample(256, seed=7)), stop=at)
        encoder.w_avg.copy_(generator.w_avg)
        encoder.f_mean.copy_(feature.mean((0, 2, 3), keepdim=True))
        encoder.f_std.copy_(feature.std((0, 2, 3), keepdim=True))
    return encoder


def load_shipped(path: Path, space: str, at: int) -> FeatureStyleLight:
    """The shipped encoder from its file (8 bits per channel, see `quantized_file`), as float32, frozen, in eval mode.

    Raises WeightsUnavailable for a file that is damaged or holds other tensors.
    """
    encoder = FeatureStyleLight(space, at=at)
    quantized_file.fill_network(encoder, path)
    return encoder.eval().requires_grad_(False)
