"""What is done to the generator's pictures so that an encoder can read photos."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vidinv.trainers.augment import degradations


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gradient(side: int = 64) -> Tensor:
    """Red is the place across and green the place down, in [-1,1]: a picture that says where it was."""
    place = (torch.arange(side) + 0.5) / side * 2 - 1
    red, green = place[None, :].expand(side, side), place[:, None].expand(side, side)
    return torch.stack([red, green, torch.zeros(side, side)])[None]


def test_jitter_is_one_small_similarity_for_each_picture() -> None:
    count = 200
    moved = degradations.jitter(count, seeded(1))(gradient().expand(count, -1, -1, -1))
    inner = slice(24, 40)  # away from the mirrored border
    across = (moved[:, :2, 32, 39] - moved[:, :2, 32, 24]) / (15 * 2 / 64)  # of one picture's side: scale and turn
    down = (moved[:, :2, 39, 32] - moved[:, :2, 24, 32]) / (15 * 2 / 64)
    torch.testing.assert_close(across[:, 0], down[:, 1], atol=1e-3, rtol=0)  # no shear, no stretching one way
    torch.testing.assert_close(across[:, 1], -down[:, 0], atol=1e-3, rtol=0)
    turn = torch.atan2(across[:, 1], across[:, 0]).rad2deg()
    shift = moved[:, :2, inner, inner].mean((2, 3)) / 2
    assert float(turn.std()) == pytest.approx(degradations.TURN, rel=0.2)
    assert float(across.norm(dim=1).log().std()) == pytest.approx(degradations.STRETCH, rel=0.2)
    assert shift.std(0).tolist() == pytest.approx([degradations.SHIFT] * 2, rel=0.2)


def test_something_of_the_picture_before_is_in_front_of_each() -> None:
    levels = torch.arange(6.0)[:, None, None, None].expand(6, 3, 64, 64)
    covered = degradations.occlude(6, 64, seeded(2))(levels)
    for n in range(6):
        assert set(covered[n].unique().tolist()) <= {float(n), float((n - 1) % 6)}
    share = (degradations.occlude(300, 64, seeded(3))(torch.eye(1).expand(300, 3, 64, 64)) != 1).float().mean()
    assert share == 0, "of equal pictures nothing can be seen"
    many = torch.arange(300.0)[:, None, None, None].expand(300, 3, 64, 64)
    hidden = (degradations.occlude(300, 64, seeded(3))(many) != many).float().mean((1, 2, 3))
    assert 0.05 < float(hidden.mean()) < 0.3 and float(hidden.max()) < math.pi / 4 * 0.5**2 * 1.1


def test_half_of_the_pictures_are_compressed() -> None:
    picture = torch.rand(40, 3, 32, 32, generator=seeded(4)) * 2 - 1
    coded = degradations.compress(picture, seeded(5))
    apart = (coded - picture).square().mean((1, 2, 3))
    assert 10 <= int((apart == 0).sum()) <= 30
    assert float(apart[apart > 0].max()) < 1.0 and coded.abs().max() <= 1.01
    flat = torch.full((8, 3, 32, 32), 0.2)
    torch.testing.assert_close(degradations.compress(flat, seeded(6)), flat, atol=0.03, rtol=0)
