"""The adaptive robust loss: its limits, its partition by another way, what it learns, and how it grows."""

from __future__ import annotations

import math

import pytest
import torch

from vidinv.losses import robust
from vidinv.losses.robust import RobustLoss


def test_it_is_charbonniers_at_1_and_near_the_square_at_2() -> None:
    x = torch.linspace(-3, 3, 13, dtype=torch.float64)
    one, c = torch.ones((), dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)
    torch.testing.assert_close(robust.general(x, one, c), ((x / c) ** 2 + 1).sqrt() - 1)
    torch.testing.assert_close(robust.general(x, 1.9999 * one, c), (x / c) ** 2 / 2, rtol=2e-3, atol=1e-6)
    torch.testing.assert_close(robust.general(x, 1e-6 * one, c), ((x / c) ** 2 / 2 + 1).log(), rtol=1e-4, atol=1e-6)


def test_the_partition_is_that_of_the_known_distributions() -> None:
    alpha = torch.tensor([robust.LOW, 1.0, robust.HIGH], dtype=torch.float64)
    bessel = 2 * math.e * 0.6019072301972346  # 2 e K_1(1), of the smooth Laplacian
    known = torch.tensor([math.pi * 2**0.5, bessel, (2 * math.pi) ** 0.5], dtype=torch.float64)
    torch.testing.assert_close(robust.log_partition(alpha).exp(), known, rtol=2e-3, atol=0)


def test_the_partitions_slope_is_that_of_its_values() -> None:
    alpha = torch.linspace(0.05, 1.95, 40, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(robust.log_partition(alpha).sum(), alpha)
    step = 1e-5
    with torch.no_grad():
        steep = (robust.log_partition(alpha + step) - robust.log_partition(alpha - step)) / (2 * step)
    torch.testing.assert_close(slope, steep, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("outliers", "low", "high"), [(0.0, 1.5, 2.0), (0.2, 0.0, 1.0)])
def test_outliers_make_alpha_fall_and_their_absence_makes_it_rise(outliers: float, low: float, high: float) -> None:
    torch.manual_seed(0)
    loss = RobustLoss(1)
    error = 0.1 * torch.randn(4000, 1, 1, 1)
    error = torch.where(torch.rand_like(error) < outliers, 30 * error, error)
    adam = torch.optim.Adam(loss.parameters(), lr=0.05)
    for _ in range(300):
        adam.zero_grad()
        loss(error, torch.zeros_like(error)).backward()
        adam.step()
    assert low < float(loss.alpha.detach()) < high and 0.05 < float(loss.scale.detach()) < 0.2


def test_a_pixels_alpha_is_handed_to_the_four_in_its_place() -> None:
    loss = RobustLoss(4)
    with torch.no_grad():
        loss.shape.copy_(torch.arange(16.0).view(4, 4) / 8)
        loss.size.copy_(-torch.arange(16.0).view(4, 4) / 8)
    wide = loss.grown()
    for fine, own in ((wide.alpha, loss.alpha), (wide.scale, loss.scale)):
        assert fine.shape == (8, 8)
        for y in range(8):
            for x in range(8):
                assert fine[y, x] == own[y // 2, x // 2]
    a, b = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)

    def doubled(image: torch.Tensor) -> torch.Tensor:
        return image.repeat_interleave(2, 2).repeat_interleave(2, 3)

    torch.testing.assert_close(wide(doubled(a), doubled(b)), loss(a, b))  # nothing jumps


def test_pictures_of_another_side_are_refused() -> None:
    with pytest.raises(ValueError, match=r"pictures must have side 4, got \(1, 3, 8, 8\)"):
        RobustLoss(4)(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8))
