"""What the log says of a training's speed: each part of a turn has the time that it takes, and no other's."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.helpers.keyed_data import RandomRows
from tests.helpers.small_training import networks, plan
from vidinv.trainers.core import loop
from vidinv.trainers.core.step_random import StepRandom
from vidinv.trainers.core.throughput import PARTS, Throughput
from vidinv.trainers.data.step_sampler import SampleKey

PAUSE = 0.03  # seconds, beside which a turn of these networks is short


class Slow(torch.autograd.Function):
    """Passes on what it is given, and takes its time in the backward pass alone."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        time.sleep(PAUSE)
        return slope


class SlowSGD(torch.optim.SGD):
    def step(self, closure: Any = None) -> None:
        time.sleep(PAUSE)
        super().step(closure)


def trained(folder: Path, where: str, **changes: object) -> list[dict[str, Any]]:
    """The log of four turns of 4 that are slow in one of their parts."""

    class SlowRows(RandomRows):
        def batch(self, keys: Sequence[SampleKey]) -> Tensor:
            time.sleep(PAUSE if where == "data" else 0)
            return super().batch(keys)

    def loss(nets: loop.Networks, batch: Tensor, random: StepRandom) -> tuple[Tensor, dict[str, Tensor]]:
        time.sleep(PAUSE if where == "forward" else 0)
        made = nets["maker"](batch)
        return (Slow.apply(made) if where == "backward" else made).square().mean(), {}

    def optimiser(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        return (SlowSGD if where == "optimiser" else torch.optim.SGD)(parameters, lr=0.01)

    def samples(nets: loop.Networks) -> Tensor:
        time.sleep(PAUSE if where == "keep" else 0)
        return torch.zeros(3, 8, 8)

    step = loop.Step("make", ("maker",), optimiser, loss)
    loop.train(networks(), [step], SlowRows(), plan(16, sample_every=4, **changes), folder, samples)
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("where", [part for part in PARTS if part not in ("average", "log")])
def test_a_slow_part_is_told_from_the_others(tmp_path: Path, where: str) -> None:
    trained(tmp_path / "before", "")  # what is slow at first is over
    last = trained(tmp_path / "log", where, log_every=1)[-1]["pace"]
    assert tuple(last["ms"]) == tuple(last["cpu_ms"]) == PARTS
    assert max(last["ms"], key=last["ms"].get) == where and last["ms"][where] >= 1e3 * PAUSE
    assert last["cpu_ms"][where] < last["ms"][where]  # it slept


def test_the_images_a_second_are_those_of_all_parts_together(tmp_path: Path) -> None:
    (line,) = trained(tmp_path, "data", log_every=4)
    pace = line["pace"]
    assert line["turn"] == 4
    assert pace["images_per_s"] == pytest.approx(4 / (sum(pace["ms"].values()) / 1e3), rel=0.01)
    assert pace["images_per_s"] < 4 / PAUSE and pace["images_per_cpu_s"] > pace["images_per_s"]


def test_the_last_turns_are_in_the_log(tmp_path: Path) -> None:
    assert [line["turn"] for line in trained(tmp_path, "", log_every=3)] == [3, 4]


def test_a_report_begins_anew() -> None:
    pace = Throughput()
    time.sleep(PAUSE)
    pace.record("data")
    pace.turns += 1
    assert pace.report(4).ms["data"] >= 1e3 * PAUSE
    pace.record("forward")
    pace.turns += 1
    again = pace.report(4)
    assert again.ms["data"] == 0 and again.ms["forward"] < 1e3 * PAUSE
