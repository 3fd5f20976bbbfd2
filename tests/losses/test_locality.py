"""The ball around a pivot, and what it means that an edit moves what it moved."""

from __future__ import annotations

import pytest
import torch

from vidinv.losses import locality


def test_the_ball_has_its_radius_row_by_row_and_points_to_the_samples() -> None:
    random = torch.Generator().manual_seed(0)
    pivot, samples = (torch.randn(2, 5, 8, generator=random) for _ in range(2))
    near = locality.points_on_ball(pivot, samples, 0.7)
    assert torch.allclose((near - pivot).norm(dim=-1), torch.full((2, 5), 0.7))
    alike = torch.cosine_similarity(near - pivot, samples - pivot, dim=-1)
    assert torch.allclose(alike, torch.ones_like(alike))


def test_the_ball_adds_what_is_perceived() -> None:
    a, b = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.5)
    assert float(locality.ball_loss(a, b)) == pytest.approx(0.25)
    assert float(locality.ball_loss(a, b, lambda x, y: (x - y).abs().mean((1, 2, 3)), pixel=2.0)) == pytest.approx(1.0)


def test_movement_asks_for_the_change_and_not_for_the_picture() -> None:
    random = torch.Generator().manual_seed(0)
    before, after, detail = (torch.randn(2, 3, 8, 8, generator=random) for _ in range(3))
    frozen = before, after
    assert float(locality.edit_effect_loss((before + detail, after + detail), frozen)) < 1e-10
    assert float(locality.edit_effect_loss((before, before), frozen)) == pytest.approx(1.0)
    half = before + 0.5 * (after - before)
    assert float(locality.edit_effect_loss((before, half), frozen)) == pytest.approx(0.25)
