"""The divergence of codes from the prior: the known values, the sphere's floor, and the margin."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from vidinv.losses import latent


@pytest.mark.parametrize(("count", "known"), [(16, 0.0668), (256, 0.0041)])
def test_a_batch_of_the_prior_is_about_one_over_its_size_away(count: int, known: float) -> None:
    torch.manual_seed(0)
    found = torch.stack([latent.prior_divergence(torch.randn(count, 512)) for _ in range(50)]).mean()
    assert float(found) == pytest.approx(known, rel=0.06)


def test_codes_on_the_sphere_tend_to_their_own_floor_and_never_to_0() -> None:
    torch.manual_seed(0)
    even = normalize(torch.randn(20_000, 512), dim=1)
    assert float(latent.prior_divergence(even)) == pytest.approx(2.620, abs=2e-3)
    narrow = normalize(torch.randn(20_000, 512) + 1, dim=1)
    assert latent.prior_divergence(narrow) > latent.prior_divergence(even) + 0.1


def test_codes_that_are_all_alike_are_far_away_and_have_a_finite_gradient() -> None:
    alike = torch.full((8, 4), 0.5, requires_grad=True)
    found = latent.prior_divergence(alike)
    found.backward()
    assert found > 10 and alike.grad is not None and alike.grad.isfinite().all()


def test_beyond_the_margin_the_gap_teaches_nothing() -> None:
    fake = torch.tensor([3.0, 3.4, 3.6], requires_grad=True)
    found = torch.stack([latent.gap(torch.tensor(3.0), value, 0.5) for value in fake])
    torch.testing.assert_close(found, torch.tensor([0.0, -0.4, -0.5]))
    found.sum().backward()
    assert fake.grad is not None and fake.grad.tolist() == [-1, -1, 0]
