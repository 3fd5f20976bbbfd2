"""What every registered generator holds: parts make the whole, features can be put in, gradients pass twice."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from vidinv.generators import registry
from vidinv.generators.base import Generator

NAMES = [name for name in registry.GENERATORS if name.endswith("-tiny")]
CUTS = ("first", "middle", "last")


@pytest.fixture(scope="module", params=NAMES)
def network(request: pytest.FixtureRequest) -> Generator:
    return registry.load_generator(request.param)


@pytest.fixture(scope="module")
def ws(network: Generator) -> Tensor:
    random = torch.Generator().manual_seed(3)
    shift = 0.5 * torch.randn(2, network.num_ws, network.w_dim, generator=random)  # every row its own
    return network.broadcast(network.sample(2, seed=3)) + shift


def layer(network: Generator, cut: str) -> int:
    last = len(network.layers) - 1
    return {"first": 0, "middle": last // 2, "last": last}[cut]


def close(made: Tensor, expected: Tensor) -> None:
    """Equal but for the order of float32 sums."""
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("cut", CUTS)
def test_synthesis_cut_at_a_layer_and_continued_is_the_whole(network: Generator, ws: Tensor, cut: str) -> None:
    k = layer(network, cut)
    canvas = network.synthesize(ws, stop=k)
    spec = network.layers[k]
    assert canvas.shape == (2, spec.channels, spec.resolution, spec.resolution)
    whole = network.synthesize(ws)
    assert whole.shape == (2, 3, network.resolution, network.resolution)
    close(network.synthesize(ws, start=k + 1, canvas=canvas), whole)


def test_a_middle_part_can_be_synthesized_alone(network: Generator, ws: Tensor) -> None:
    k = layer(network, "middle")
    part = network.synthesize(ws, start=k, canvas=network.synthesize(ws, stop=k - 1), stop=k + 1)
    close(part, network.synthesize(ws, stop=k + 1))


def test_a_part_depends_on_its_canvas_and_on_no_row_below_it(network: Generator, ws: Tensor) -> None:
    k = layer(network, "middle")
    canvas = network.synthesize(ws, stop=k - 1)
    below = {slot for spec in network.layers[:k] for slot in spec.slots}
    above = {slot for spec in network.layers[k:] for slot in spec.slots}
    changed = ws.clone()
    changed[:, sorted(below - above)] += 1.0
    part = network.synthesize(ws, start=k, canvas=canvas, stop=k)
    close(network.synthesize(changed, start=k, canvas=canvas, stop=k), part)
    assert not torch.allclose(network.synthesize(ws, start=k, canvas=canvas + 1.0, stop=k), part)


@pytest.mark.parametrize("cut", CUTS)
def test_putting_in_the_generators_own_feature_changes_nothing(network: Generator, ws: Tensor, cut: str) -> None:
    k = layer(network, cut)
    close(network.synthesize(ws, feature=network.synthesize(ws, stop=k), at=k), network.synthesize(ws))


@pytest.mark.parametrize("cut", ["first", "middle"])
def test_putting_in_another_feature_changes_the_picture(network: Generator, ws: Tensor, cut: str) -> None:
    k = layer(network, cut)
    own = network.synthesize(ws, stop=k)
    noise = torch.randn(own.shape, generator=torch.Generator().manual_seed(0)) * own.std()
    change = network.synthesize(ws, feature=own + noise, at=k) - network.synthesize(ws)
    assert change.abs().mean() > 1e-3


def test_a_feature_is_replaced_after_its_own_layer_only(network: Generator, ws: Tensor) -> None:
    k = layer(network, "middle")
    other = network.synthesize(ws, stop=k) + 1.0
    for stop in (k - 1, k):
        close(network.synthesize(ws, feature=other, at=k, stop=stop), network.synthesize(ws, stop=stop))
    assert not torch.allclose(
        network.synthesize(ws, feature=other, at=k, stop=k + 1), network.synthesize(ws, stop=k + 1)
    )


def test_the_styles_handed_in_are_the_ones_used(network: Generator, ws: Tensor) -> None:
    rows = network.styles(ws)
    if not rows:
        pytest.skip(f"{network.name} is not modulated")
    assert all(row.shape[0] == 2 for row in rows)
    close(network.synthesize(ws, styles=rows), network.synthesize(ws))
    scaled = [row * 1.3 + 0.1 for row in rows]
    assert not torch.allclose(network.synthesize(ws, styles=scaled), network.synthesize(ws), atol=1e-3)


def test_an_image_does_not_depend_on_what_else_is_in_its_batch(network: Generator, ws: Tensor) -> None:
    both = network.synthesize(ws)
    for image, row in zip(both, ws, strict=True):
        close(network.synthesize(row[None])[0], image)


def test_fixed_noise_gives_the_same_image_every_time_and_unknown_noise_is_refused(
    network: Generator, ws: Tensor
) -> None:
    assert torch.equal(network.synthesize(ws), network.synthesize(ws))
    again = registry.load_generator(network.name)
    assert torch.equal(again.synthesize(ws), network.synthesize(ws))
    with pytest.raises(ValueError, match="loud"):
        network.synthesize(ws, noise="loud")


def test_truncation_moves_w_towards_the_average(network: Generator) -> None:
    w = network.sample(400, seed=5)
    close(network.truncate(w, 1.0), w)
    spread = (w - w.mean(0)).norm(dim=1).mean()
    assert (w.mean(0) - network.w_avg).norm() < 0.2 * spread
    for psi in (0.0, 0.5):
        z_part = network.truncate(w, psi)[:, : network.z_dim] - network.w_avg[: network.z_dim]
        close(z_part, psi * (w[:, : network.z_dim] - network.w_avg[: network.z_dim]))


def test_first_and_second_derivatives_are_those_of_finite_differences(network: Generator, ws: Tensor) -> None:
    exact = registry.load_generator(network.name).double()
    random = torch.Generator().manual_seed(7)
    point = ws[:1].double()
    at = layer(exact, "middle")
    feature = exact.synthesize(point, stop=at)
    along_w = torch.randn(point.shape, generator=random, dtype=torch.float64)
    along_f = torch.randn(feature.shape, generator=random, dtype=torch.float64) * feature.std()
    view = torch.randn(1, 3, exact.resolution, exact.resolution, generator=random, dtype=torch.float64)

    def seen(step: Tensor) -> Tensor:
        moved, other = point + step[0] * along_w, feature + step[1] * along_f
        return ((exact.synthesize(moved) + exact.synthesize(moved, feature=other, at=at)) * view).mean()

    step = torch.tensor([0.013, 0.021], dtype=torch.float64, requires_grad=True)
    loose = {"eps": 1e-7, "rtol": 2e-2, "atol": 1e-5}  # a leaky ReLU that changes sides within eps is no fault
    assert gradcheck(seen, step, **loose)
    assert gradgradcheck(seen, step, **loose)
    gradient = torch.autograd.grad(seen(step), step)[0]
    assert (gradient != 0).all()


def test_parameters_get_gradients_of_a_gradient(network: Generator, ws: Tensor) -> None:
    """What path length regularisation needs: the derivative by the weights of |d(image . y) / dw|."""
    trained = registry.load_generator(network.name).requires_grad_(True)
    point = ws.clone().requires_grad_(True)
    image = trained.synthesize(point)
    (gradient,) = torch.autograd.grad((image * torch.ones_like(image)).sum(), point, create_graph=True)
    gradient.square().sum().sqrt().backward()
    for name, parameter in trained.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name
    reached = [name for name, parameter in trained.named_parameters() if parameter.grad is not None]
    assert len(reached) > len(trained.layers)


def test_wrong_shapes_are_named(network: Generator, ws: Tensor) -> None:
    with pytest.raises(ValueError, match=r"\(2, 99, 3\)"):
        network.synthesize(torch.zeros(2, 99, 3))
    with pytest.raises(ValueError, match=r"\(1, 7\)"):
        network.map(torch.zeros(1, 7))
    with pytest.raises(ValueError, match=r"\(2, 1, 8, 9\)"):
        network.synthesize(ws, feature=torch.zeros(2, 1, 8, 9), at=1)
    with pytest.raises(ValueError, match="49"):
        network.synthesize(ws, size=49)
    with pytest.raises(ValueError, match="canvas of layer 1"):
        network.synthesize(ws, start=2)
    with pytest.raises(ValueError, match="99"):
        network.synthesize(ws, feature=torch.zeros(2, 1, 8, 9), at=99)
    if network.c_dim:
        with pytest.raises(ValueError, match=r"c must be \[1,"):
            network.map(torch.zeros(1, network.z_dim))


def test_classes_change_w(network: Generator) -> None:
    if not network.c_dim:
        pytest.skip(f"{network.name} has no classes")
    z = torch.randn(1, network.z_dim, generator=torch.Generator().manual_seed(0)).expand(2, -1)
    first, second = network.map(z, torch.eye(network.c_dim)[:2])
    assert not torch.allclose(first, second)
