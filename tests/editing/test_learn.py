"""Learned directions: a planted one is found again, and an entangled one is cleaned."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vidinv.editing import learn

SIDE = 24


def planted(noise: float) -> tuple[Tensor, Tensor, Tensor]:
    """w [N,D] of uneven spread, the unit direction planted in them, and the noisy score along it."""
    random = torch.Generator().manual_seed(0)
    w = torch.randn(2000, SIDE, generator=random) * torch.linspace(0.7, 1.3, SIDE) + 2.0
    truth = torch.nn.functional.normalize(torch.randn(SIDE, generator=random), dim=0)
    return w, truth, w @ truth * 4 + noise * torch.randn(2000, generator=random)


@pytest.mark.parametrize("method", [learn.ridge, learn.boundary])
def test_a_planted_direction_is_found_again(method) -> None:  # type: ignore[no-untyped-def]
    w, truth, score = planted(noise=2.0)
    found = method(w, score)
    assert found.shape == (SIDE,) and float(found.norm()) == pytest.approx(1, abs=1e-5)
    assert float(found @ truth) > 0.9
    assert float(method(w, -score) @ truth) < -0.9


def test_conditioning_removes_what_is_shared() -> None:
    random = torch.Generator().manual_seed(1)
    age, glasses, pose = (torch.nn.functional.normalize(torch.randn(SIDE, generator=random), dim=0) for _ in range(3))
    mixed = torch.nn.functional.normalize(age + 0.8 * glasses + 0.5 * pose, dim=0)
    clean = learn.condition(mixed, [glasses, pose])
    assert abs(float(clean @ glasses)) < 1e-5 and abs(float(clean @ pose)) < 1e-5
    assert float(clean.norm()) == pytest.approx(1, abs=1e-5)
    assert float(clean @ age) > float(mixed @ age)
    assert learn.condition(mixed, []) is mixed


def test_strength_one_is_a_standard_deviation_of_the_samples() -> None:
    w, truth, _ = planted(noise=0.0)
    assert learn.deviation(truth, w) == pytest.approx(float((w @ truth).std()), rel=1e-5)


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(10, 4\), \(9,\)"):
        learn.ridge(torch.zeros(10, 4), torch.zeros(9))


def test_what_few_have_is_the_difference_of_means() -> None:
    w, truth, score = planted(noise=1.0)
    has = score > score.quantile(0.93)
    spread = torch.linspace(0.7, 1.3, SIDE)
    expected = torch.nn.functional.normalize(truth * spread.square(), dim=0)  # w's own spread bends it
    assert float(learn.difference(w, has) @ expected) > 0.9
    with pytest.raises(ValueError, match="both kinds"):
        learn.difference(w, has | True)


def test_a_preserving_direction_raises_the_attribute_by_what_the_person_does_not_feel() -> None:
    normal = torch.nn.functional.normalize(torch.ones(SIDE), dim=0)
    felt = torch.linspace(0.1, 3.0, SIDE)  # the person feels the last coordinates most
    identity = torch.randn(4000, SIDE, generator=torch.Generator().manual_seed(3)) * felt

    def change(direction: Tensor) -> float:
        """Of the person, per unit by which the attribute rises."""
        return float((identity @ direction).square().mean().sqrt() / (normal @ direction))

    found = learn.preserving(normal, identity, weight=0.1)
    assert float(found.norm()) == pytest.approx(1, abs=1e-5)
    assert change(found) < 0.5 * change(normal)
    assert float(learn.preserving(normal, identity, weight=1e6) @ normal) == pytest.approx(1, abs=1e-4)
    others = torch.nn.functional.normalize(torch.randn(200, SIDE, generator=torch.Generator().manual_seed(4)), dim=1)
    assert all(change(found) <= change(other * (other @ normal).sign()) for other in others)
    with pytest.raises(ValueError, match=r"got \(24,\), \(5, 23\)"):
        learn.preserving(normal, torch.zeros(5, SIDE - 1))


def test_strength_one_of_a_bent_direction_moves_the_attribute_as_far_as_its_normal_would() -> None:
    w, truth, _ = planted(noise=0.0)
    bent = torch.nn.functional.normalize(truth + 0.8 * torch.roll(truth, 3), dim=0)
    assert learn.deviation(bent, w, truth) * float(bent @ truth) == pytest.approx(learn.deviation(truth, w), rel=1e-5)
    with pytest.raises(ValueError, match="must increase the attribute"):
        learn.deviation(-bent, w, truth)


def test_the_normal_of_an_attribute_is_its_mean_gradient() -> None:
    rows = torch.tensor([[3.0, 1.0], [3.0, -1.0]])
    assert torch.allclose(learn.mean_gradient(rows), torch.tensor([1.0, 0.0]))


def test_few_samples_of_many_components_fit_the_same_ridge() -> None:
    random = torch.Generator().manual_seed(2)
    w, score = torch.randn(20, 60, generator=random), torch.randn(20, generator=random)
    x, y = (w - w.mean(0)).double(), (score - score.mean()).double()
    exact = torch.linalg.solve(x.T @ x + len(x) * x.var() * torch.eye(60, dtype=x.dtype), x.T @ y)
    torch.testing.assert_close(learn.ridge(w, score).double(), exact / exact.norm(), rtol=0, atol=1e-6)


def test_a_rare_label_keeps_its_side_of_the_boundary() -> None:
    random = torch.Generator().manual_seed(3)
    truth = torch.nn.functional.normalize(torch.randn(16, generator=random), dim=0)
    w = torch.randn(600, 16, generator=random)
    has = (torch.arange(600) < 60).float()
    w = w + 3 * has[:, None] * truth
    assert float(learn.boundary(w, has) @ truth) > 0.9
