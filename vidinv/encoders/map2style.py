"""Encode images with pSp (Richardson et al., "Encoding in Style") and e4e (Tov et al., "Designing an Encoder ...").

Both are a feature pyramid over IR-SE50 with one small convolutional head, map2style, for every row of w+: the first
rows use the coarse features (16x16), the next the medium (32x32), the rest the fine ones (64x64).
In pSp every head gives its row; in e4e the first head gives w and every other one the step of its row from w (section
4.2, progressive training, at its end). The average latent is added where it was in training.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidinv.encoders.base import Encoder
from vidinv.faces import residual
from vidinv.frames import Code
from vidinv.generators.base import Generator
from vidinv.generators.equalized import EqualLinear
from vidinv.generators.ops import resize

INPUT_SIZE = 256
MEDIUM, FINE = 3, 7  # first rows with medium and with fine features: 8x8 and 32x32 pixels of the generator
SIDES = (16, 32, 64)  # of coarse, medium and fine features


class StyleHead(nn.Module):
    """map2style: convolutions of stride 2 down to 1x1, then a dense layer: [N,C,side,side] -> [N,D]."""

    def __init__(self, channels: int, w_dim: int, side: int) -> None:
        super().__init__()
        self.convs = nn.Sequential()
        for index in range(int(math.log2(side))):
            self.convs.append(nn.Conv2d(channels if index == 0 else w_dim, w_dim, 3, 2, 1))
            self.convs.append(nn.LeakyReLU())
        self.linear = EqualLinear(w_dim, w_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.convs(x).flatten(1))


class MapToStyle(Encoder):
    """Encode images [N,3,S,S] in [-1,1] to Code(ws [N,L,D]) without a feature code.

    `progressive` selects e4e, else pSp. `w_avg` [D] is added to every row; it is not part of the state. `at` is the
    layer of the generator whose own feature serves as the feature code if one is needed.
    """

    w_avg: Tensor

    input_size = INPUT_SIZE
    gives_feature = False

    def __init__(
        self,
        space: str,
        *,
        at: int,
        w_avg: Tensor,
        slots: int = 18,
        progressive: bool = False,
        stages: residual.Stages = residual.STAGES,
    ) -> None:
        super().__init__()
        self.space, self.at, self.progressive = space, at, progressive
        self.trunk = residual.IrSeTrunk(stages)
        _, fine, medium, coarse = (width for width, _ in stages)
        sides = [SIDES[(row >= MEDIUM) + (row >= FINE)] for row in range(slots)]
        self.styles = nn.ModuleList(StyleHead(coarse, len(w_avg), side) for side in sides)
        self.latlayer1 = nn.Conv2d(medium, coarse, 1)
        self.latlayer2 = nn.Conv2d(fine, coarse, 1)
        self.register_buffer("w_avg", w_avg.detach().clone(), persistent=False)

    def forward(self, image: Tensor, c: Tensor | None = None) -> Code:
        if image.ndim != 4 or image.shape[1] != 3:
            raise ValueError(f"the encoder reads [N,3,S,S] images, got {tuple(image.shape)}")
        _, fine, medium, coarse = self.trunk.levels(resize(image, INPUT_SIZE))  # the sides of SIDES, and 128
        medium = _raised(coarse, self.latlayer1(medium))
        fine = _raised(medium, self.latlayer2(fine))
        levels = [(coarse, medium, fine)[(row >= MEDIUM) + (row >= FINE)] for row in range(len(self.styles))]
        rows = [head(level) for head, level in zip(self.styles, levels, strict=True)]
        if self.progressive:
            rows = [rows[0], *(rows[0] + step for step in rows[1:])]
        return Code(torch.stack(rows, 1) + self.w_avg, space=self.space)


def _raised(below: Tensor, own: Tensor) -> Tensor:
    """Return the pyramid's sum of `own` and `below`, upsampled to its side with aligned corners."""
    return functional.interpolate(below, own.shape[2:], mode="bilinear", align_corners=True) + own


def for_generator(
    generator: Generator, progressive: bool = False, *, stages: residual.Stages = residual.STAGES
) -> MapToStyle:
    """Build an untrained encoder for any generator that has a layer of 16 pixels."""
    return MapToStyle(
        generator.space,
        at=generator.layer_at(16),
        w_avg=generator.w_avg,
        slots=generator.num_ws,
        progressive=progressive,
        stages=stages,
    )
