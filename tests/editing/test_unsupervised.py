"""Directions that nobody labelled: the strongest modulation, the widest spread, the difference of examples."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from vidinv.editing import unsupervised
from vidinv.errors import UsageError
from vidinv.generators import biggan, mobile_stylegan, pggan, stylegan1, stylegan3
from vidinv.generators.base import Generator

TINY = mobile_stylegan.tiny()


def modulation(direction: torch.Tensor, rows: tuple[int, int]) -> float:
    """How far a step along the direction on these rows moves the styles."""
    ws = TINY.broadcast(TINY.sample(1, seed=4))
    moved = ws.clone()
    moved[:, rows[0] : rows[1]] += direction
    pairs = zip(TINY.styles(ws), TINY.styles(moved), strict=True)
    return float(sum((after - before).square().sum() for before, after in pairs))


def test_sefa_moves_the_styles_most() -> None:
    rows = (1, 5)
    found = unsupervised.sefa(TINY, rows, 3)
    assert found.shape == (3, TINY.w_dim)
    torch.testing.assert_close(found @ found.T, torch.eye(3), rtol=0, atol=1e-5)
    moved = [modulation(each, rows) for each in found]
    random = torch.nn.functional.normalize(
        torch.randn(200, TINY.w_dim, generator=torch.Generator().manual_seed(0)), dim=1
    )
    assert moved[0] > moved[1] > moved[2] > 0
    assert moved[0] > max(modulation(each, rows) for each in random)


def test_ganspace_is_where_w_spreads_most() -> None:
    found = unsupervised.ganspace(TINY, 2, samples=2000)
    w = TINY.sample(2000, seed=0)
    spreads = (w @ found.T).std(0)
    random = torch.nn.functional.normalize(
        torch.randn(200, TINY.w_dim, generator=torch.Generator().manual_seed(0)), dim=1
    )
    assert spreads[0] >= spreads[1] and float(spreads[0]) >= float((w @ random.T).std(0).max())


@pytest.mark.parametrize("make", [stylegan1.tiny, stylegan3.tiny, biggan.tiny])
def test_sefa_is_the_strongest_of_every_modulated_family(make: Callable[[], Generator]) -> None:
    network = make()
    rows = (0, network.num_ws)
    first, second = unsupervised.sefa(network, rows, 2)
    ws = network.broadcast(network.sample(1, seed=4))

    def moved(direction: torch.Tensor) -> float:
        pairs = zip(network.styles(ws), network.styles(ws + direction), strict=True)
        return float(sum((after - before).square().sum() for before, after in pairs))

    random = torch.nn.functional.normalize(
        torch.randn(50, network.w_dim, generator=torch.Generator().manual_seed(0)), dim=1
    )
    assert moved(first) >= moved(second) > 0 and moved(first) >= max(map(moved, random))


def test_sefa_of_pggan_is_of_its_first_layer() -> None:
    network = pggan.tiny()
    first, last = unsupervised.sefa(network, (0, 1), network.w_dim)[[0, -1]]
    kernel = network.get_submodule("layer0").weight  # [O,D,4,4]

    def answer(direction: torch.Tensor) -> float:
        return float(torch.einsum("odhw,d->ohw", kernel, direction).norm())

    random = torch.nn.functional.normalize(
        torch.randn(50, network.w_dim, generator=torch.Generator().manual_seed(0)), dim=1
    )
    assert answer(first) >= max(map(answer, random)) and answer(last) <= min(map(answer, random))


@pytest.mark.parametrize("make", [pggan.tiny, biggan.tiny])
def test_ganspace_of_a_latent_that_spreads_alike_is_where_the_features_go(make: Callable[[], Generator]) -> None:
    network = make()
    (found,) = unsupervised.ganspace(network, 1, samples=1000)
    w = network.sample(500, seed=9)

    def spread(along: torch.Tensor) -> float:
        """How much of the first feature's variance the coordinate along a direction explains."""
        feature = network.synthesize(network.broadcast(w), stop=0).flatten(1)
        feature, x = feature - feature.mean(0), (w @ along) - (w @ along).mean()
        return float((x @ feature).square().sum() / x.square().sum() / feature.square().sum())

    random = torch.nn.functional.normalize(
        torch.randn(100, network.w_dim, generator=torch.Generator().manual_seed(0)), dim=1
    )
    assert spread(found) > max(map(spread, random))


def test_a_component_is_a_direction_by_its_name() -> None:
    found = unsupervised.component("sefa.2", TINY)
    torch.testing.assert_close(found.vector, unsupervised.sefa(TINY, (0, TINY.num_ws), 2)[1])
    w = TINY.sample(5000, seed=1) @ found.vector
    assert found.deviation == pytest.approx(float(w.std()), rel=0.1)
    with pytest.raises(UsageError, match=r"the direction ganspace\.0 does not exist"):
        unsupervised.component("ganspace.0", TINY)


def test_examples_differ_by_what_they_have() -> None:
    random = torch.Generator().manual_seed(0)
    planted = torch.nn.functional.normalize(torch.randn(32, generator=random), dim=0)
    without, with_it = torch.randn(32, 8, 32, generator=random), torch.randn(32, 8, 32, generator=random) + 2 * planted
    found = unsupervised.exemplars(with_it, without)
    assert float(found @ planted) > 0.9 and float(found.norm()) == pytest.approx(1, abs=1e-5)


def test_what_cannot_be_found_is_said() -> None:
    with pytest.raises(ValueError, match="of rows 3-8 of 8"):
        unsupervised.sefa(TINY, (3, 9), 1)
    with pytest.raises(ValueError, match="components"):
        unsupervised.ganspace(TINY, 33)
    with pytest.raises(ValueError, match=r"\[N,L,D\]"):
        unsupervised.exemplars(torch.zeros(2, 8, 32), torch.zeros(2, 7, 32))


def test_pictures_that_do_not_differ_make_no_direction() -> None:
    with pytest.raises(UsageError, match="same codes"):
        unsupervised.exemplars(torch.ones(2, 8, 32), torch.ones(3, 8, 32))
