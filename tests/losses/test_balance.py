"""Path lengths against a Jacobian written out, and the adaptive weight against the gradients it balances."""

from __future__ import annotations

import pytest
import torch

from vidinv.losses.balance import LARGEST, PathLength, adaptive_weight, path_lengths


def test_path_lengths_are_those_of_the_jacobian() -> None:
    torch.manual_seed(0)
    jacobian = torch.randn(3 * 4 * 4, 2 * 5, dtype=torch.float64)
    ws = torch.randn(6, 2, 5, dtype=torch.float64, requires_grad=True)
    image = (ws.flatten(1) @ jacobian.T).view(6, 3, 4, 4)
    noise = torch.randn_like(image)
    found = path_lengths(image, ws, noise)
    wanted = ((noise.flatten(1) / 4 @ jacobian).view(6, 2, 5).square().sum(2).mean(1)).sqrt()
    torch.testing.assert_close(found, wanted)


def test_the_penalty_is_small_once_all_lengths_are_alike() -> None:
    penalty = PathLength(decay=0.5)
    for _ in range(20):
        alike = penalty(torch.full((4,), 3.0))
    assert alike < 1e-6 and float(penalty.average) == pytest.approx(3.0, abs=1e-4)
    assert penalty(torch.tensor([1.0, 3.0, 3.0, 5.0])) > 1.9


@pytest.mark.parametrize("factor", [0.2, 1.0, 50.0])
def test_with_the_adaptive_weight_both_pull_alike_whatever_the_factor(factor: float) -> None:
    torch.manual_seed(0)
    made = torch.randn(2, 3, 8, 8, requires_grad=True)
    likeness, other = (made - 1).square().mean(), factor * (made * torch.randn_like(made)).mean().tanh()
    weight = adaptive_weight(likeness, other, made)
    assert not weight.requires_grad
    (one,) = torch.autograd.grad(likeness, made, retain_graph=True)
    (two,) = torch.autograd.grad(weight * other, made)
    assert float(two.norm() / one.norm()) == pytest.approx(1.0, abs=0.1)


def test_the_adaptive_weight_has_an_end() -> None:
    made = torch.ones(2, requires_grad=True)
    assert float(adaptive_weight(1e6 * made.sum(), 0 * made.sum(), made)) == LARGEST
