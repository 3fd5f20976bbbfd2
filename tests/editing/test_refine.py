"""Refinement with the tiny generator and plain stand-ins for the guides."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from vidinv.editing import refine
from vidinv.editing.refine import Guides, Settings
from vidinv.frames import Code
from vidinv.generators import mobile_stylegan
from vidinv.generators.mobile_stylegan import MobileStyleGAN

AT = 2
SETTINGS = Settings(size=32)


class PooledPixels(nn.Module):
    """A person is the picture at 8x8: unit vectors, and differentiable, as the real network's are."""

    def embed(self, image: Tensor) -> Tensor:
        return functional.normalize(functional.adaptive_avg_pool2d(image, 8).flatten(1), dim=1)


class MeanDifference(nn.Module):
    """[N,3,S,S] twice -> [N]."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b).abs().mean((1, 2, 3))


GUIDES = Guides(identity=PooledPixels(), perceptual=MeanDifference())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def network() -> MobileStyleGAN:
    return mobile_stylegan.tiny()


@pytest.fixture(scope="module")
def code(network: MobileStyleGAN) -> Code:
    ws = network.broadcast(network.w_avg[None]).clone()
    return Code(ws, network.synthesize(ws, stop=AT), AT, space=network.space)


@pytest.fixture(scope="module")
def target(network: MobileStyleGAN) -> Tensor:
    """A picture near the code's, but not its own."""
    step = 0.3 * torch.randn(1, network.w_dim, generator=torch.Generator().manual_seed(9))
    return network.synthesize(network.broadcast(network.w_avg + step))


def picture(network: MobileStyleGAN, code: Code) -> Tensor:
    return network.synthesize(code.ws, feature=code.feature, at=code.at)


def psnr(a: Tensor, b: Tensor) -> float:
    return float(10 * torch.log10(4 / (a - b).square().mean()))


def loss(image: Tensor, target: Tensor) -> float:
    """The refinement's own sum without the pull on w+, written anew, at 32x32."""
    seen, wanted = functional.avg_pool2d(image, 2), functional.avg_pool2d(target, 2)
    likeness = 1 - (GUIDES.identity.embed(seen) * GUIDES.identity.embed(target)).sum()
    total = 4 * (seen - wanted).square().mean() + 0.8 * (seen - wanted).abs().mean() + 0.04 * likeness
    return float(total)


def test_refinement_brings_the_picture_closer(network: MobileStyleGAN, code: Code, target: Tensor) -> None:
    refined, _ = refine.refine(network, code, target, None, 20, GUIDES, SETTINGS)
    before, after = picture(network, code), picture(network, refined)
    assert loss(after, target) < 0.8 * loss(before, target)
    assert psnr(after, target) > psnr(before, target) + 0.5


def test_more_steps_are_no_worse(network: MobileStyleGAN, code: Code, target: Tensor) -> None:
    few, _ = refine.refine(network, code, target, None, 4, GUIDES, SETTINGS)
    many, _ = refine.refine(network, code, target, None, 40, GUIDES, SETTINGS)
    assert loss(picture(network, many), target) < loss(picture(network, few), target)


def test_the_neighbours_offset_is_the_start(network: MobileStyleGAN, code: Code, target: Tensor) -> None:
    _, offset = refine.refine(network, code, target, None, 5, GUIDES, SETTINGS)
    assert code.feature is not None
    again, found = refine.refine(network, code, target, offset, 0, GUIDES, SETTINGS)
    assert torch.equal(again.ws, code.ws + offset[0])
    assert again.feature is not None and torch.equal(again.feature, code.feature + offset[1])
    torch.testing.assert_close(found[0], offset[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(found[1], offset[1], rtol=0, atol=1e-5)


def test_no_steps_and_no_offset_leave_the_code_as_it_was(network: MobileStyleGAN, code: Code, target: Tensor) -> None:
    refined, offset = refine.refine(network, code, target, None, 0, GUIDES, SETTINGS)
    assert code.feature is not None and refined.feature is not None
    assert torch.equal(refined.ws, code.ws) and torch.equal(refined.feature, code.feature)
    assert not offset[0].any() and not offset[1].any()


def test_the_code_handed_in_is_not_changed(network: MobileStyleGAN, code: Code, target: Tensor) -> None:
    assert code.feature is not None
    ws, feature = code.ws.clone(), code.feature.clone()
    refine.refine(network, code, target, None, 3, GUIDES, SETTINGS)
    assert torch.equal(code.ws, ws) and torch.equal(code.feature, feature)


def test_refinement_takes_one_code_with_a_feature(network: MobileStyleGAN, code: Code, target: Tensor) -> None:
    with pytest.raises(ValueError, match="no feature"):
        refine.refine(network, Code(code.ws), target, None, 1, GUIDES, SETTINGS)
