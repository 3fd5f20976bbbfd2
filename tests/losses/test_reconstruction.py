"""The GAN-encoder paper's image and latent losses: zero for equals, per sample, and what each strategy teaches."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from vidinv.losses import regions
from vidinv.losses.reconstruction import Weights, apart, image_loss, latent_loss

BOTH = ((regions.cropped(regions.at1), 0.375), (regions.cropped(regions.at2), 0.625))


def blurred(a: Tensor, b: Tensor) -> Tensor:
    """What stands for perception: sees means of 8x8 pixels only."""
    return torch.nn.functional.avg_pool2d(a - b, 8).abs().mean((1, 2, 3))


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.rand(3, 3, 64, 64) * 2 - 1, torch.rand(3, 3, 64, 64) * 2 - 1


def test_a_picture_is_no_way_from_itself(pair: tuple[Tensor, Tensor]) -> None:
    loss, parts = image_loss(pair[0], pair[0], blurred, BOTH)
    assert abs(float(loss)) < 1e-5 and len(parts) == 12
    assert abs(float(latent_loss(pair[0], pair[0]))) < 1e-6


def test_the_parts_are_those_of_the_equation(pair: tuple[Tensor, Tensor]) -> None:
    made, wanted = (image.double() for image in pair)
    total, parts = image_loss(made, wanted, blurred, BOTH)
    expected = 0.0
    for crop, mu in ((lambda x: x, 1.0), (regions.at1, 0.375), (regions.at2, 0.625)):
        a, b = crop(made), crop(wanted)
        flat = a.flatten(1), b.flatten(1)
        cos = (flat[0] * flat[1]).sum(1) / (flat[0].norm(dim=1) * flat[1].norm(dim=1))
        similar = structural_similarity_index_measure(a, b, data_range=2.0)
        terms = (5 * (a - b).square().mean(), 3 * (1 - cos).mean(), 2 * blurred(a, b).mean(), 1 - similar)
        expected += mu * float(sum(terms))
    assert float(total) == pytest.approx(expected, rel=1e-6)
    assert float(total) == pytest.approx(float(sum(parts.values())))


def test_cos_is_taken_of_each_sample_alone() -> None:
    a = torch.tensor([[1.0, 0.0], [0.0, 100.0]])
    b = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    assert float(apart(a, b)) == pytest.approx(0.5)


@pytest.mark.parametrize("pixels", [True, False])
def test_without_pixels_only_what_perceives_teaches(pair: tuple[Tensor, Tensor], pixels: bool) -> None:
    made = pair[0].clone().requires_grad_()
    loss, parts = image_loss(made, pair[1], blurred, BOTH, pixels=pixels)
    same, _ = image_loss(pair[0], pair[1], blurred, BOTH)
    assert float(loss.detach()) == pytest.approx(float(same))
    for name, value in parts.items():
        assert value.requires_grad == (pixels or name.startswith("lpips")), name
    (slope,) = torch.autograd.grad(loss, made)
    assert slope.abs().max() > 0


def test_a_part_without_weight_is_left_out(pair: tuple[Tensor, Tensor]) -> None:
    _, parts = image_loss(*pair, blurred, weights=Weights(ssim=0.0))
    assert set(parts) == {"mse", "cos", "lpips"}


def test_shapes_that_differ_are_refused(pair: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(ValueError, match="one shape"):
        image_loss(pair[0], pair[1][:2], blurred)
    with pytest.raises(ValueError, match="one shape"):
        latent_loss(torch.zeros(1, 2), torch.zeros(1, 3))
