"""Large layers with frozen weights: pictures and gradients as torch's own operations give them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vidinv.generators.kernels import frozen, fused
from vidinv.generators.mobile_stylegan import MobileStyleGAN


@pytest.fixture
def network() -> MobileStyleGAN:
    torch.manual_seed(0)
    channels = (16, 16, 16, 16, 12, 8)  # to 128 pixels: two features are large
    return MobileStyleGAN("wide", "wide-w", channels=channels, w_dim=16).requires_grad_(False)


@pytest.fixture
def ws(network: MobileStyleGAN) -> Tensor:
    return torch.randn(2, network.num_ws, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def feature(network: MobileStyleGAN, ws: Tensor) -> Tensor:
    return network.synthesize(ws, stop=2) + 0.1


def passes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Filled with the name of every compiled pass from now on."""
    names: list[str] = []
    for name in ("activate", "modulated_inverse_haar", "activation_gradient", "haar_gradients"):
        own = getattr(fused, name)
        monkeypatch.setattr(fused, name, lambda *given, own=own, name=name: names.append(name) or own(*given))
    return names


def slopes(network: MobileStyleGAN, ws: Tensor, feature: Tensor, *, half: bool) -> tuple[Tensor, Tensor, Tensor]:
    """A picture, and the gradients of w+ and F of a weighted sum of it, in float32."""
    ws, feature = (each.detach().clone().requires_grad_() for each in (ws, feature))
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        image = network.synthesize(ws, feature=feature, at=2).float()
    weight = torch.randn(image.shape, generator=torch.Generator().manual_seed(2))
    (image * weight).sum().backward()
    assert ws.grad is not None and feature.grad is not None
    return image.detach(), ws.grad, feature.grad


def likeness(found: Tensor, wanted: Tensor) -> float:
    """In dB, by the norm of what is wanted."""
    return float(20 * torch.log10(wanted.norm() / (found - wanted).norm().clamp(min=1e-12)))


def test_picture_and_gradients_are_those_of_trainable_weights(
    network: MobileStyleGAN, ws: Tensor, feature: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = passes(monkeypatch)
    wanted = slopes(network.requires_grad_(True), ws, feature, half=False)  # torch's own operations
    assert not seen
    found = slopes(network.requires_grad_(False), ws, feature, half=False)
    block = ["modulated_inverse_haar", "activate", "activate"]
    back = ["activation_gradient", "activation_gradient", "haar_gradients"]
    assert seen == 2 * block + 2 * back
    assert min(map(likeness, found, wanted)) > 100


def test_in_bfloat16_they_are_as_near_to_float32_as_torchs_own(
    network: MobileStyleGAN, ws: Tensor, feature: Tensor
) -> None:
    exact, own = (slopes(network.requires_grad_(True), ws, feature, half=half) for half in (False, True))
    found = slopes(network.requires_grad_(False), ws, feature, half=True)
    for ours, theirs, wanted in zip(found, own, exact, strict=True):
        assert likeness(ours, wanted) > likeness(theirs, wanted) - 1


def test_weights_that_learn_have_gradients_in_every_layer(network: MobileStyleGAN, ws: Tensor) -> None:
    network.requires_grad_(True).synthesize(ws).square().sum().backward()
    assert all(each.grad is not None and each.grad.any() for each in network.blocks.parameters())


def test_a_gradient_can_be_differentiated_again(network: MobileStyleGAN, ws: Tensor) -> None:
    found = []
    for trainable in (False, True):
        network.requires_grad_(trainable)
        at = ws.clone().requires_grad_()
        (slope,) = torch.autograd.grad(network.synthesize(at).square().sum(), at, create_graph=True)
        found.append(torch.autograd.grad(slope.square().sum(), at)[0])
    assert likeness(*found) > 90


def test_without_gradients_it_is_the_same_picture(network: MobileStyleGAN, ws: Tensor, feature: Tensor) -> None:
    wanted = slopes(network, ws, feature, half=False)[0]
    with torch.no_grad():
        assert torch.equal(network.synthesize(ws, feature=feature, at=2), wanted)


def test_a_prelu_with_a_frozen_slope_hands_back_torchs_gradient() -> None:
    torch.manual_seed(0)
    slope = torch.randn(8)
    for kind, close in ((torch.float32, 1e-6), (torch.bfloat16, 1e-2)):
        x = torch.randn(2, 8, 5, 3).to(kind).requires_grad_()
        given = torch.randn(2, 8, 5, 3).to(kind)
        out = frozen.prelu(x, slope.to(kind))
        (found,) = torch.autograd.grad(out, x, given)
        wanted = torch.where(x > 0, given.float(), given.float() * slope[:, None, None])
        assert torch.equal(out, torch.nn.functional.prelu(x, slope.to(kind)))
        (shared,) = torch.autograd.grad(frozen.prelu(x, slope[:1].to(kind)), x, given)  # one slope for all channels
        lone = torch.where(x > 0, given.float(), given.float() * slope[:1, None, None])
        torch.testing.assert_close(shared.float(), lone, rtol=close, atol=close)
        torch.testing.assert_close(found.float(), wanted, rtol=close, atol=close)
        again = frozen.prelu(x.float(), slope)
        (first,) = torch.autograd.grad(again.square().sum(), x, create_graph=True)
        assert first.requires_grad, "and it can be differentiated again"
