"""Adaptive augmentation: nothing at p = 0, everything in range and differentiable, and p follows the discriminator."""

from __future__ import annotations

import pytest
import torch

from vidinv.trainers.augment.adaptive import GREATEST, LENGTH, Augment, _RowNumbers
from vidinv.trainers.core.step_random import StepRandom


def test_without_its_probability_pictures_are_as_they_were() -> None:
    image = torch.rand(4, 3, 16, 16) * 2 - 1
    assert torch.equal(Augment()(image, StepRandom(0)), image)


def test_a_share_of_the_pictures_changes_and_gradients_pass_twice() -> None:
    torch.manual_seed(0)
    augment = Augment()
    augment.p.fill_(0.1)
    image = (torch.rand(200, 3, 16, 16) * 2 - 1).requires_grad_()
    made = augment(image, StepRandom(0))
    kept = (made - image).abs().amax((1, 2, 3)) < 1e-3
    assert made.shape == image.shape and made.isfinite().all() and 0.15 < kept.float().mean() < 0.7
    (slope,) = torch.autograd.grad(made.square().sum(), image, create_graph=True)
    slope.square().sum().backward()
    assert image.grad is not None and image.grad.isfinite().all() and (image.grad != 0).any()


def test_turns_and_mirrors_keep_the_middle_where_it_is() -> None:
    augment = Augment()
    augment.p.fill_(1.0)
    maps = augment._maps(torch.zeros(500, 3, 9, 9), _RowNumbers(StepRandom(0), 500))
    centre = maps @ torch.tensor([4.0, 4.0, 1.0])
    assert centre.mean(0).tolist() == pytest.approx([4, 4], abs=0.2)
    assert centre.std(0).tolist() == pytest.approx([9 / 8, 9 / 8], abs=0.15)
    assert (torch.linalg.det(maps[:, :, :2]) < 0).float().mean() == pytest.approx(0.5, abs=0.1)


def test_p_rises_while_real_pictures_are_recognised_too_well_and_falls_where_not() -> None:
    augment = Augment(target=0.6)
    sure, unsure = torch.ones(16, 1), torch.cat([torch.ones(8, 1), -torch.ones(8, 1)])
    for _ in range(10):
        augment.observe(sure)
    assert float(augment.p) == pytest.approx(160 / LENGTH)
    augment.observe(unsure)
    assert float(augment.p) == pytest.approx(144 / LENGTH)
    augment.p.fill_(GREATEST)
    augment.observe(sure)
    assert float(augment.p) == pytest.approx(GREATEST)
