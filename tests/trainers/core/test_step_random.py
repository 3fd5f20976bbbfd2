"""A step's random numbers: each row's are its own, whatever the number of processes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vidinv.trainers.core.step_random import StepRandom

DRAWS: dict[str, Callable[[StepRandom, int], Tensor]] = {
    "normal": lambda random, count: random.normal(count, 3, 5),
    "uniform": lambda random, count: random.uniform(count),
    "integers": lambda random, count: random.integers(2, 9, count),
    "noise": lambda random, count: random.noise(torch.zeros(1, 1, 8, 8), count),
}


@pytest.mark.parametrize("kind", DRAWS)
def test_the_rows_of_two_processes_are_those_of_one(kind: str) -> None:
    draw = DRAWS[kind]
    one, pair = StepRandom(1, 2, "a"), [StepRandom(1, 2, "a", rank=rank) for rank in range(2)]
    drawn = []
    for count in (8, 4, 8):  # a penalty on half a batch comes between
        drawn.append(draw(one, count))
        assert torch.equal(drawn[-1], torch.cat([draw(each, count // 2) for each in pair]))
    assert not torch.equal(drawn[0], drawn[2]), "one draw is not the other"
    assert len(drawn[0].flatten(1).unique(dim=0) if drawn[0].ndim > 1 else drawn[0].unique()) > 4


def test_what_is_shared_is_the_same_in_all_processes_and_new_with_every_draw() -> None:
    one, other = (StepRandom(1, 2, "a", rank=rank) for rank in range(2))
    first = torch.rand(4, generator=one.shared())
    assert torch.equal(first, torch.rand(4, generator=other.shared()))
    assert not torch.equal(first, torch.rand(4, generator=one.shared()))


def test_seed_turn_and_step_each_give_other_numbers() -> None:
    places = [(1, 2, "a"), (2, 2, "a"), (1, 3, "a"), (1, 2, "b")]
    drawn = [StepRandom(seed, turn, step).normal(1, 16) for seed, turn, step in places]
    assert all(not torch.equal(a, b) for n, a in enumerate(drawn) for b in drawn[:n])


def test_the_numbers_are_distributed_as_they_should_be() -> None:
    random = StepRandom(0)
    normal, uniform, integers = random.normal(2000, 4), random.uniform(2000, 4), random.integers(3, 7, 4000)
    assert normal.mean().abs() < 0.05 and normal.std() == pytest.approx(1, abs=0.03)
    assert uniform.min() >= 0 and uniform.max() < 1 and uniform.mean() == pytest.approx(0.5, abs=0.02)
    counts = torch.bincount(integers, minlength=7)
    assert counts[:3].sum() == 0 and (counts[3:] > 850).all() and (counts[3:] < 1150).all()
    pairs = torch.corrcoef(random.normal(2000, 4).T) - torch.eye(4)
    assert pairs.abs().max() < 0.1, "rows of neighbouring seeds are independent"


def test_drawing_leaves_the_global_random_state_alone() -> None:
    torch.manual_seed(3)
    wanted = torch.rand(3)
    torch.manual_seed(3)
    random = StepRandom(0)
    random.normal(4, 2), random.shared(), random.integers(0, 4, 3)
    assert torch.equal(torch.rand(3), wanted)
