"""The perceptual path length where it can be worked out, and the ways between latents."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from vidinv.metrics.smoothness import path_length, round_the_sphere, straight


def squares(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().flatten(1).sum(1)


def pairs(count: int) -> list[tuple[Tensor, Tensor]]:
    random = torch.Generator().manual_seed(0)
    return [tuple(torch.randn(2, count, 5, generator=random, dtype=torch.float64)) for _ in range(3)]


def test_of_a_linear_generator_it_is_the_squared_length_of_the_way() -> None:
    matrix = torch.randn(5, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    given = pairs(200)
    lengths = torch.cat([((b - a) @ matrix).square().sum(1) for a, b in given])
    low, high = torch.quantile(lengths, 0.01), torch.quantile(lengths, 0.99)
    wanted = float(lengths[(lengths >= low) & (lengths <= high)].mean())
    for full in (True, False):
        assert path_length(lambda w: w @ matrix, straight, squares, given, full=full) == pytest.approx(wanted, rel=1e-6)


def test_at_its_end_the_way_begins_and_in_full_it_is_anywhere() -> None:
    seen: list[Tensor] = []

    def draw(w: Tensor) -> Tensor:
        seen.append(w)
        return w

    given = [(torch.zeros(50, 1), torch.ones(50, 1))]
    path_length(draw, straight, squares, given, full=False)
    assert (seen[0] == 0).all() and torch.allclose(seen[1], torch.full((50, 1), 1e-4))
    path_length(draw, straight, squares, given)
    assert seen[2].min() < 0.1 and seen[2].max() > 0.9


def test_round_the_sphere_codes_keep_their_length_and_go_at_one_speed() -> None:
    a, b = normalize(torch.randn(2, 9, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64), dim=2)
    points = torch.stack([round_the_sphere(a, b, torch.full((9, 1), t, dtype=torch.float64)) for t in (0, 0.5, 1)])
    torch.testing.assert_close(points[0], a)
    torch.testing.assert_close(points[2], b)
    torch.testing.assert_close(points.norm(dim=2), torch.ones(3, 9, dtype=torch.float64))
    torch.testing.assert_close((points[1] - a).norm(dim=1), (points[1] - b).norm(dim=1))
