"""Degrade generated pictures so that they resemble photos.

`photometry`, `jitter` and `occlude` change the encoder's target and its input, `degrade` and `compress` only its input.
Each function takes a random generator and draws one change per picture.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from kornia.enhance import jpeg_codec_differentiable
from torch import Tensor
from torch.nn import functional

Change = Callable[[Tensor], Tensor]  # images [N,3,S,S] -> images
TURN, STRETCH, SHIFT = 4.0, 0.05, 0.03  # degrees, ratio, share of the side: alignment errors
WORST_JPEG, BEST_JPEG = 25, 95  # quality


def photometry(count: int, random: torch.Generator) -> Change:
    """Draw a change of gain, offset, tint and saturation per image, for [N,3,S,S]: differences between cameras."""
    gain = 1 + 0.25 * torch.randn(count, 1, 1, 1, generator=random)
    shift = 0.06 * torch.randn(count, 3, 1, 1, generator=random) + 0.1 * torch.randn(count, 1, 1, 1, generator=random)
    colour = torch.exp(0.3 * torch.randn(count, 1, 1, 1, generator=random))

    def change(image: Tensor) -> Tensor:
        grey = image.mean(1, keepdim=True)
        return (torch.lerp(grey, image, colour.to(image)) * gain.to(image) + shift.to(image)).clamp(-1.1, 1.1)

    return change


def jitter(count: int, random: torch.Generator) -> Change:
    """Draw a small rotation, scaling and shift per image: alignment errors. The border is filled by reflection."""
    turn, stretch, x, y = torch.randn(4, count, generator=random)
    angle, scale = torch.deg2rad(TURN * turn), torch.exp(STRETCH * stretch)
    c, s = scale * angle.cos(), scale * angle.sin()
    # affine_grid coordinates span [-1, 1], so a share of the side counts twice
    rows = torch.stack([c, -s, 2 * SHIFT * x, s, c, 2 * SHIFT * y], 1).view(count, 2, 3)

    def change(image: Tensor) -> Tensor:
        grid = functional.affine_grid(rows.to(image), list(image.shape), align_corners=False)
        return functional.grid_sample(image, grid, padding_mode="reflection", align_corners=False)

    return change


def occlude(count: int, side: int, random: torch.Generator) -> Change:
    """Paste an ellipse of the previous picture of the batch over each, in place of hands, hair and microphones."""
    x, y, wide, high = torch.rand(4, count, 1, 1, generator=random)
    place = torch.linspace(-1, 1, side)
    across = (place[None, None, :] - (2.4 * x - 1.2)) / (0.15 + 0.35 * wide)
    down = (place[None, :, None] - (2.4 * y - 1.2)) / (0.15 + 0.35 * high)
    inside = (across**2 + down**2 < 1)[:, None]  # [N,1,S,S]
    return lambda image: torch.where(inside.to(image.device), image.roll(1, 0), image)


def degrade(image: Tensor, random: torch.Generator) -> Tensor:
    """Blur half of the images [N,3,S,S] and add noise to all; for the encoder's input, not its target."""
    small = functional.interpolate(image, scale_factor=0.6, mode="bilinear", antialias=True)
    blurred = functional.interpolate(small, image.shape[-2:], mode="bilinear")
    pick = torch.rand(len(image), 1, 1, 1, generator=random) < 0.5
    noise = torch.randn(image.shape, generator=random)
    return torch.where(pick.to(image.device), blurred, image) + 0.03 * noise.to(image)


def compress(image: Tensor, random: torch.Generator) -> Tensor:
    """Apply JPEG of a random quality to half of the images [N,3,S,S] in [-1,1], S a multiple of 16."""
    pick = torch.rand(len(image), 1, 1, 1, generator=random) < 0.5
    quality = WORST_JPEG + (BEST_JPEG - WORST_JPEG) * torch.rand(len(image), generator=random)
    coded = jpeg_codec_differentiable((image.clamp(-1, 1) + 1) / 2, quality.to(image)) * 2 - 1
    return torch.where(pick.to(image.device), coded, image)
