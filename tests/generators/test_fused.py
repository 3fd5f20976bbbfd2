"""The compiled passes against float64, and what takes them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vidinv.generators import fused
from vidinv.generators.haar import inverse_haar
from vidinv.generators.mobile_stylegan import MobileStyleGAN

KINDS = [torch.float32, torch.bfloat16]
ROUNDING = {torch.float32: 2**-22, torch.bfloat16: 2**-8}  # of one result, relative to its largest


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_noise_bias_and_activation_are_those_of_float64_rounded_once(kind: torch.dtype, threads: int) -> None:
    y, noise, bias = drawn(2, 35, 6).to(kind), drawn(1, 1, 5, 7, seed=1), drawn(1, 6, 1, 1, seed=2)
    sums = y.double() + noise.double().reshape(1, 35, 1) + bias.double().reshape(1, 1, 6)
    wanted = functional.leaky_relu(sums, 0.2)
    found = fused.activate(y, noise, bias)
    assert found is y and found.dtype == kind
    assert ((found.double() - wanted).abs() <= ROUNDING[kind] * wanted.abs().clamp(min=1)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_bands_are_scaled_and_transformed_as_in_float64(kind: torch.dtype, threads: int) -> None:
    bands = drawn(2, 12, 5, 4).to(kind).contiguous(memory_format=torch.channels_last)
    scale = drawn(2, 12, seed=1)
    wanted = inverse_haar(bands.double() * scale.double()[:, :, None, None])
    found = fused.modulated_inverse_haar(bands, scale)
    assert found.shape == (2, 3, 10, 8) and found.is_contiguous(memory_format=torch.channels_last)
    assert (found.double() - wanted).abs().max() <= ROUNDING[kind] * wanted.abs().max()


def test_bfloat16_is_rounded_to_the_nearest_and_ties_to_even() -> None:
    exact = torch.tensor([1.0, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -3.00390625, 3.3e38])
    zeros = torch.zeros(1, 1, len(exact), dtype=torch.bfloat16)
    found = fused.activate(zeros, torch.zeros(1), exact.where(exact > 0, exact * 5))
    assert torch.equal(found[0, 0], exact.to(torch.bfloat16))


def test_only_large_plain_features_on_a_cpu_without_gradients_take_it() -> None:
    x = drawn(1, 4, 8, 8)
    last = x.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        assert fused.takes(last) and fused.takes(last.bfloat16())
        assert not fused.takes(x)
        assert not fused.takes(last.double())
        assert not fused.takes(last.to("meta"))
    assert not fused.takes(last)  # a gradient may be wanted


@pytest.mark.parametrize(("precision", "least"), [(torch.float32, 110.0), (torch.bfloat16, 45.0)])
def test_a_generator_draws_the_picture_that_torch_draws(
    precision: torch.dtype, least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    channels = (16, 16, 16, 16, 12, 8)  # to 128 pixels: two features are large
    network = MobileStyleGAN("wide", "wide-w", channels=channels, w_dim=16).requires_grad_(False)
    ws = torch.randn(2, network.num_ws, 16)
    wanted = network.synthesize(ws)  # with gradients: torch's own operations
    passes = []
    for name in ("activate", "modulated_inverse_haar"):
        own = getattr(fused, name)
        monkeypatch.setattr(fused, name, lambda *given, own=own, name=name: passes.append(name) or own(*given))
    with torch.no_grad(), torch.autocast("cpu", precision, enabled=precision != torch.float32):
        found = network.synthesize(ws).float()
    assert passes == ["activate", "activate", "modulated_inverse_haar", "activate", "activate"]
    error, peak = (found - wanted).square().mean(), wanted.max() - wanted.min()
    assert 10 * torch.log10(peak**2 / error.clamp(min=1e-20)) >= least


def test_wrong_numbers_of_values_are_named() -> None:
    with pytest.raises(ValueError, match="noise of 6 and bias of 4 values, got 5 and 4"):
        fused.activate(drawn(1, 6, 4), drawn(5), drawn(4))
    with pytest.raises(ValueError, match=r"take scales \(1, 4\)"):
        fused.modulated_inverse_haar(drawn(1, 4, 2, 2), drawn(1, 3))
