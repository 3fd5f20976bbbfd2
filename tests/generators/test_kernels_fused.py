"""The compiled passes against float64."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vidinv.generators.haar import inverse_haar
from vidinv.generators.kernels import fused

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


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_compiled_is_what_the_interpreter_does(kind: torch.dtype) -> None:
    y, noise, bias = drawn(1, 12, 5).to(kind), drawn(12, seed=1), drawn(5, seed=2)
    by_hand = fused._memory(y.clone())[0]
    fused._activate.py_func(0, 12, by_hand, noise.numpy(), bias.numpy())
    assert (fused._memory(fused.activate(y, noise, bias))[0] == by_hand).all()


def test_only_what_is_compiled_for_and_lies_on_a_cpu_takes_it() -> None:
    x = drawn(1, 4, 8, 8)
    assert fused.takes(x) and fused.takes(x.bfloat16())
    assert not fused.takes(x.double()) and not fused.takes(x.to("meta"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_transforms_gradients_are_those_of_float64(kind: torch.dtype, threads: int) -> None:
    bands = drawn(2, 12, 5, 4).to(kind).contiguous(memory_format=torch.channels_last)
    scale = drawn(2, 12, seed=1)
    gradient = drawn(2, 3, 10, 8, seed=2).to(kind).contiguous(memory_format=torch.channels_last)
    exact = [each.double().requires_grad_() for each in (bands, scale)]
    inverse_haar(exact[0] * exact[1][:, :, None, None]).backward(gradient.double())
    found = fused.haar_gradients(gradient, bands, scale)
    for got, wanted, most in zip(found, (each.grad for each in exact), (ROUNDING[kind], 2**-20), strict=True):
        assert wanted is not None
        assert (got.double() - wanted).abs().max() <= most * wanted.abs().max()


@pytest.mark.parametrize("kind", KINDS)
def test_the_activations_gradient_is_a_fifth_where_the_output_is_negative(kind: torch.dtype, threads: int) -> None:
    out, gradient = drawn(2, 35, 6).to(kind), drawn(2, 35, 6, seed=1).to(kind)
    wanted = (gradient.double() * torch.where(out > 0, 1.0, 0.2)).to(kind)
    torch.testing.assert_close(fused.activation_gradient(gradient, out), wanted, rtol=ROUNDING[kind], atol=0)


def test_wrong_numbers_of_values_are_named() -> None:
    with pytest.raises(ValueError, match="noise of 6 and bias of 4 values, got 5 and 4"):
        fused.activate(drawn(1, 6, 4), drawn(5), drawn(4))
    with pytest.raises(ValueError, match=r"take scales \(1, 4\)"):
        fused.modulated_inverse_haar(drawn(1, 4, 2, 2), drawn(1, 3))
