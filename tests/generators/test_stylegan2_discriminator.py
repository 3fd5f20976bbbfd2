"""StyleGAN2's discriminator: published names, parity in float64, the batch's deviation, gradients of gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.helpers import reference_generators
from tests.helpers.published_stylegan2_discriminator import published_state
from vidinv.generators.stylegan2_discriminator import Discriminator, deviations, with_deviation


@pytest.fixture(scope="module")
def network() -> Discriminator:
    made = Discriminator(16, channel_multiplier=8 * 16 / 16384, channel_max=16)
    made.load_state_dict(published_state(), strict=True)
    return made


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def paper(image: Tensor) -> Tensor:
    state = {key: value.double() for key, value in published_state().items()}

    def convolve(x: Tensor, name: str, padding: int = 0) -> Tensor:
        weight = state[f"{name}.weight"]
        padded = functional.pad(x, [padding] * 4)
        return functional.conv2d(padded, weight / (weight.shape[1] * weight.shape[2] ** 2) ** 0.5)

    def active(x: Tensor, name: str) -> Tensor:
        return reference_generators.lrelu(x + state[f"{name}.bias"][:, None, None]) * 2**0.5

    x = active(convolve(image.double(), "convs.0.0"), "convs.0.1")
    for i in (1, 2):
        y = active(convolve(x, f"convs.{i}.conv1.0", 1), f"convs.{i}.conv1.1")
        # Every second sample of the filtered image: that is a convolution of stride 2.
        y = convolve(reference_generators.fir(y, reference_generators.smooth(1), 2, 2), f"convs.{i}.conv2.1")[
            :, :, ::2, ::2
        ]
        skip = convolve(
            reference_generators.fir(x, reference_generators.smooth(1), 1, 1)[:, :, ::2, ::2], f"convs.{i}.skip.1"
        )
        x = (active(y, f"convs.{i}.conv2.2") + skip) / 2**0.5
    spread = (((x - x.mean(0)) ** 2).mean(0) + 1e-8).sqrt().mean()  # one group of four
    x = torch.cat([x, spread.expand(4, 1, 4, 4)], 1)
    x = active(convolve(x, "final_conv.0", 1), "final_conv.1").reshape(4, -1)
    x = (
        reference_generators.lrelu(
            reference_generators.linear(x, state["final_linear.0.weight"], state["final_linear.0.bias"])
        )
        * 2**0.5
    )
    return reference_generators.linear(x, state["final_linear.1.weight"], state["final_linear.1.bias"])


def test_logits_are_the_papers(network: Discriminator, images: Tensor) -> None:
    assert reference_generators.relative_error(network(images), paper(images)) <= 1e-4


def test_the_1024_network_has_the_published_size() -> None:
    with torch.device("meta"):
        network = Discriminator()
    assert sum(p.numel() for p in network.parameters()) == 29_012_513


@pytest.mark.parametrize(("count", "group"), [(1, 1), (3, 3), (6, 3), (8, 4)])
def test_the_deviation_is_that_of_each_group(count: int, group: int) -> None:
    x = torch.randn(count, 5, 4, 4, generator=torch.Generator().manual_seed(2))
    made = with_deviation(x, deviations(x))
    assert torch.equal(made[:, :5], x)
    step = count // group
    for i in range(count):
        members = x[i % step :: step]
        wanted = (members.double().var(0, unbiased=False) + 1e-8).sqrt().mean()
        torch.testing.assert_close(made[i, 5], wanted.float().expand(4, 4))


def test_r1_reaches_the_weights(network: Discriminator, images: Tensor) -> None:
    """R1 = |dD/dx|^2; its derivative along the weights is that of finite differences."""
    exact = Discriminator(16, channel_multiplier=8 * 16 / 16384, channel_max=16).double()
    exact.load_state_dict(published_state())
    weight = exact.convs[1].conv1[0].weight
    step = torch.randn(weight.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def r1() -> Tensor:
        x = images.double().requires_grad_(True)
        (gradient,) = torch.autograd.grad(exact(x).sum(), x, create_graph=True)
        return gradient.square().sum((1, 2, 3)).mean()

    along = (torch.autograd.grad(r1(), weight)[0] * step).sum()
    values = []
    for eps in (1e-6, -1e-6):
        with torch.no_grad():
            weight += eps * step
        values.append(r1().detach())
        with torch.no_grad():
            weight -= eps * step
    torch.testing.assert_close(along, (values[0] - values[1]) / 2e-6, rtol=1e-2, atol=0)


def test_an_image_of_another_size_is_refused(network: Discriminator) -> None:
    with pytest.raises(ValueError, match=r"\(1, 3, 8, 8\)"):
        network(torch.zeros(1, 3, 8, 8))
