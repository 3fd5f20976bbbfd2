"""Augment a discriminator's input adaptively (Karras et al., "Training GANs with Limited Data", section 3).

Each transformation is applied with probability p to real and generated pictures; p rises while the discriminator
overfits to real pictures and falls otherwise. All transformations are differentiable.
"""

from __future__ import annotations

import torch
from kornia.geometry.conversions import axis_angle_to_rotation_matrix
from kornia.geometry.transform import warp_affine
from torch import Tensor, nn

from vidinv.trainers.core.step_random import StepRandom

LENGTH = 500_000  # images over which p can rise from 0 to 1
GREATEST = 0.8  # upper bound of p
COLUMNS = 16  # random numbers of each kind drawn per picture; at least as many as are used


class _RowNumbers:
    """Columns of random numbers [N], all drawn at once per picture and returned one after another."""

    def __init__(self, random: StepRandom, count: int) -> None:
        self._uniform = iter(random.uniform(count, COLUMNS).unbind(1))
        self._normal = iter(random.normal(count, COLUMNS).unbind(1))

    def uniform(self) -> Tensor:
        return next(self._uniform)

    def normal(self) -> Tensor:
        return next(self._normal)


class Augment(nn.Module):
    """Adaptive augmentation: images [N,3,S,S] in [-1,1] -> the same shape; `p` [] is part of the state.

    Flips, quarter turns, shifts, scalings, rotations and anisotropic scalings are one affine map; brightness, contrast,
    saturation and hue follow.
    """

    p: Tensor

    def __init__(self, target: float = 0.6) -> None:
        super().__init__()
        self.target = target
        self.register_buffer("p", torch.zeros(()))

    def forward(self, image: Tensor, random: StepRandom) -> Tensor:
        if float(self.p) == 0:
            return image
        side = image.shape[-1]
        drawn = _RowNumbers(random, len(image))
        warped = warp_affine(image, self._maps(image, drawn), (side, side), padding_mode="reflection")
        return self._coloured(warped, drawn)

    @torch.no_grad()
    def observe(self, real_logits: Tensor) -> None:
        """Update p by the sign of r_t - target, with r_t = mean of sign(D(x)) over real pictures (eq. 1 there)."""
        step = torch.sign(real_logits.sign().mean() - self.target) * len(real_logits) / LENGTH
        self.p.add_(step).clamp_(0, GREATEST)

    def _some(self, drawn: _RowNumbers, value: Tensor, none: float) -> Tensor:
        """Return `value` [N] for a share p of the pictures and `none` for the rest."""
        return torch.where(drawn.uniform() < self.p, value, torch.full_like(value, none))

    def _maps(self, image: Tensor, drawn: _RowNumbers) -> Tensor:
        """Return affine matrices [N,2,3] in pixels, about the image centre."""
        n, side = len(image), image.shape[-1]
        normal, uniform = drawn.normal, drawn.uniform
        mirror = self._some(drawn, torch.where(uniform() < 0.5, -1.0, 1.0), 1.0)
        turn = self._some(drawn, (uniform() * 4).floor() * torch.pi / 2, 0.0)
        turn = turn + self._some(drawn, (uniform() * 2 - 1) * torch.pi, 0.0)
        scale = self._some(drawn, 2 ** (0.2 * normal()), 1.0)
        stretch = self._some(drawn, 2 ** (0.2 * normal()), 1.0)
        shift = torch.stack([self._some(drawn, normal() * 0.125 * side, 0.0) for _ in range(2)], 1)
        cos, sin = torch.cos(turn), torch.sin(turn)
        along = torch.stack([scale * stretch * mirror * cos, -scale / stretch * sin], 1)
        across = torch.stack([scale * stretch * mirror * sin, scale / stretch * cos], 1)
        linear = torch.stack([along, across], 1)  # [N,2,2]
        middle = torch.full((n, 2, 1), (side - 1) / 2, device=image.device)
        return torch.cat([linear, middle - linear @ middle + shift[..., None]], 2)

    def _coloured(self, image: Tensor, drawn: _RowNumbers) -> Tensor:
        normal = drawn.normal

        def wide(value: Tensor) -> Tensor:
            return value[:, None, None, None]

        image = image + wide(self._some(drawn, 0.2 * normal(), 0.0))
        image = image * wide(self._some(drawn, 2 ** (0.5 * normal()), 1.0))
        grey = image.mean(1, keepdim=True)
        image = grey + (image - grey) * wide(self._some(drawn, 2.0 ** normal(), 1.0))
        angle = self._some(drawn, (drawn.uniform() * 2 - 1) * torch.pi, 0.0)
        turn = axis_angle_to_rotation_matrix((angle / 3**0.5)[:, None].expand(-1, 3))  # about the grey axis
        return torch.einsum("nij,njhw->nihw", turn, image)
