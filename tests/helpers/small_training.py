"""A training of two linear networks, small enough to know what each step does."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.helpers.keyed_data import RandomRows
from vidinv.trainers.core import loop
from vidinv.trainers.core.step_random import StepRandom

DATA = RandomRows()


def networks() -> dict[str, nn.Module]:
    torch.manual_seed(3)
    return {"maker": nn.Linear(4, 4), "judge": nn.Linear(4, 1)}


def make(nets: loop.Networks, batch: Tensor, random: StepRandom) -> tuple[Tensor, dict[str, Tensor]]:
    noise = torch.rand((), generator=random.shared())
    loss = nets["judge"](nets["maker"](batch)).square().mean() * (1 + 0.1 * noise)
    return loss, {"noise": noise}


def judge(nets: loop.Networks, batch: Tensor, random: StepRandom) -> tuple[Tensor, dict[str, Tensor]]:
    return (nets["judge"](nets["maker"](batch)) - 1).square().mean(), {}


def adam(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=0.01)


MAKER = loop.Step("make", ("maker",), adam, make)


JUDGE = loop.Step("judge", ("judge",), adam, judge, every=2)


def plan(images: int, **changes: object) -> loop.Plan:
    return loop.Plan(**{"images": images, "batch": 4, "accelerator": "cpu", "save_every": 8, "log_every": 1, **changes})


def weights(nets: dict[str, nn.Module]) -> dict[str, Tensor]:
    return {f"{n}.{k}": v.clone() for n, net in nets.items() for k, v in net.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(value, b[key]) for key, value in a.items())


def plain(nets: loop.Networks, batch: Tensor, random: StepRandom) -> tuple[Tensor, dict[str, Tensor]]:
    return nets["judge"](nets["maker"](batch)).square().mean(), {}


MAKER_PLAIN = loop.Step("make", ("maker",), adam, plain)
