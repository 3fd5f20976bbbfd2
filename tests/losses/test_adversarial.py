"""The adversarial losses: known values, their gradients' signs, and R1 against a slope that is known."""

from __future__ import annotations

import math

import pytest
import torch

from vidinv.generators.stylegan2_discriminator import Discriminator
from vidinv.losses import adversarial


def test_logits_of_zero_cost_a_discriminator_twice_log_two() -> None:
    none = torch.zeros(3, 1)
    assert float(adversarial.discriminator(none, none)) == pytest.approx(1.3863, abs=1e-4)
    assert float(adversarial.generator(none)) == pytest.approx(math.log(2))


def test_a_discriminator_lifts_real_logits_and_a_generator_its_own() -> None:
    real, fake = (torch.zeros(4, 1, requires_grad=True) for _ in range(2))
    adversarial.discriminator(real, fake).backward()
    assert real.grad is not None and fake.grad is not None
    assert torch.allclose(real.grad, torch.full((4, 1), -0.125)) and torch.allclose(fake.grad, -real.grad)
    fake.grad = None
    adversarial.generator(fake).backward()
    assert (fake.grad < 0).all()


def test_a_generator_that_is_found_out_still_has_a_gradient() -> None:
    fake = torch.full((1, 1), -30.0, requires_grad=True)
    adversarial.generator(fake).backward()
    assert fake.grad is not None and float(fake.grad) == pytest.approx(-1)


def test_r1_is_the_squared_slope_of_a_linear_discriminator() -> None:
    weight = torch.randn(3 * 8 * 8, generator=torch.Generator().manual_seed(0))
    images = torch.randn(5, 3, 8, 8, requires_grad=True)
    logits = (images.flatten(1) @ weight)[:, None]
    assert torch.allclose(adversarial.r1(images, logits), weight.square().sum())


def test_r1_teaches_a_discriminator() -> None:
    torch.manual_seed(0)
    network = Discriminator(16, channel_max=8)
    images = torch.randn(2, 3, 16, 16, requires_grad=True)
    adversarial.r1(images, network(images)).backward()
    slopes = [each.grad for name, each in network.named_parameters() if name.endswith("weight")]
    assert any(slope is not None and slope.abs().max() > 0 for slope in slopes)
