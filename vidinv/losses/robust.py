"""Compute the adaptive robust loss (Barron, "A General and Adaptive Robust Loss Function"), d_rho of automodulators.

Its shape alpha and scale c are learned per pixel; when the pictures double their side, every pixel's values are copied
to the four pixels that replace it (Deep Automodulators, section 3.2), so that the loss is continuous.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional

LOW, HIGH = 0.001, 1.999  # of alpha: 0 is Cauchy's, 1 is Charbonnier's, 2 is the squared error
SMALLEST = 1e-5  # of c
NODES, REACH, STEPS = 129, 40.0, 8001  # of the table of log Z


def general(x: Tensor, alpha: Tensor, scale: Tensor) -> Tensor:
    """rho(x, alpha, c), eq. 8: |alpha-2|/alpha (((x/c)^2 / |alpha-2| + 1)^(alpha/2) - 1), for 0 < alpha < 2."""
    away = 2 - alpha
    return away / alpha * (((x / scale).square() / away + 1) ** (alpha / 2) - 1)


@functools.cache
def _table() -> tuple[Tensor, Tensor]:
    """Return log Z(alpha) and its derivative at NODES values of alpha from LOW to HIGH, in float64.

    Z(alpha), eq. 17, is the integral of exp(-rho(x, alpha, 1)) over all x, by the trapezoid rule in t, x = sinh t.
    """
    t = torch.linspace(-REACH, REACH, STEPS, dtype=torch.float64)
    alpha = torch.linspace(LOW, HIGH, NODES, dtype=torch.float64).requires_grad_()
    one = torch.ones((), dtype=torch.float64)
    density = torch.exp(-general(torch.sinh(t)[None], alpha[:, None], one)) * torch.cosh(t)
    value = torch.log(torch.trapezoid(density, t, dim=1))
    (slope,) = torch.autograd.grad(value.sum(), alpha)
    return value.detach(), slope


def log_partition(alpha: Tensor) -> Tensor:
    """Return log Z(alpha) for LOW <= alpha <= HIGH, any shape; cubic between table nodes and so differentiable."""
    value, slope = (part.to(alpha) for part in _table())
    width = (HIGH - LOW) / (NODES - 1)
    place = (alpha - LOW) / width
    left = place.detach().floor().long().clamp(0, NODES - 2)
    t = place - left
    a, b, da, db = value[left], value[left + 1], slope[left] * width, slope[left + 1] * width
    return (
        a * (1 + 2 * t) * (1 - t) ** 2 + b * t**2 * (3 - 2 * t) + da * t * (1 - t) ** 2 - db * t**2 * (1 - t)
    )  # Hermite's polynomials


class RobustLoss(nn.Module):
    """Mean over pictures, channels and pixels of rho(x, alpha, c) + log c + log Z(alpha), eq. 16.

    `shape` and `size` [side,side] become alpha and c by a sigmoid and a softplus; initially alpha = 1 and c = 1.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.shape = nn.Parameter(torch.zeros(side, side))
        self.size = nn.Parameter(torch.full((side, side), _before_softplus(1 - SMALLEST)))

    @property
    def alpha(self) -> Tensor:
        """Return alpha [side,side], from LOW to HIGH."""
        return LOW + (HIGH - LOW) * torch.sigmoid(self.shape)

    @property
    def scale(self) -> Tensor:
        """Return c [side,side]."""
        return SMALLEST + functional.softplus(self.size)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the loss of `a` and `b`, both [N,C,side,side], a scalar."""
        if a.shape != b.shape or a.shape[2:] != self.shape.shape:
            raise ValueError(f"pictures must have side {len(self.shape)}, got {tuple(a.shape)}, {tuple(b.shape)}")
        alpha, scale = self.alpha, self.scale
        return (general(a - b, alpha, scale) + scale.log() + log_partition(alpha)).mean()

    @torch.no_grad()
    def grown(self) -> RobustLoss:
        """Return the loss for pictures of twice the side, with every pixel's alpha and c copied to four pixels."""
        wide = RobustLoss(2 * len(self.shape)).to(self.shape)
        for own, fine in ((self.shape, wide.shape), (self.size, wide.size)):
            fine.copy_(own.repeat_interleave(2, 0).repeat_interleave(2, 1))
        return wide


def _before_softplus(value: float) -> float:
    return float(torch.log(torch.expm1(torch.tensor(value))))
