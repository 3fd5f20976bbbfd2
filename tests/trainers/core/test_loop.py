"""The training loop on networks small enough to know: who learns, resume, several processes, what is left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.helpers.keyed_data import RandomRows, Stop, StoppedAt
from tests.helpers.small_training import DATA, JUDGE, MAKER, MAKER_PLAIN, adam, make, networks, plan, same, weights
from vidinv.errors import UsageError, VidinvError
from vidinv.trainers.core import checkpoint, loop
from vidinv.trainers.core.step_random import StepRandom


def test_only_the_named_networks_learn(tmp_path: Path) -> None:
    nets = networks()
    before = weights(nets)
    loop.train(nets, [MAKER], DATA, plan(16), tmp_path)
    after = weights(nets)
    assert not torch.equal(before["maker.weight"], after["maker.weight"])
    assert torch.equal(before["judge.weight"], after["judge.weight"])
    assert all(p.grad is None for p in nets["judge"].parameters())


def test_a_step_runs_every_so_many_turns(tmp_path: Path) -> None:
    loop.train(networks(), [MAKER, JUDGE], DATA, plan(16), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines] == [4, 8, 12, 16]
    assert ["judge/loss" in line for line in lines] == [True, False, True, False]
    assert list((tmp_path / "tensorboard").iterdir())


def test_what_runs_on_even_turns_is_in_a_log_of_odd_ones(tmp_path: Path) -> None:
    loop.train(networks(), [MAKER, JUDGE], DATA, plan(16, log_every=2), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert len(lines) == 2 and all("judge/loss" in line for line in lines)


def test_gradients_that_are_not_finite_stop_before_the_weights_do(tmp_path: Path) -> None:
    def broken(nets: loop.Networks, batch: Tensor, random: StepRandom) -> tuple[Tensor, dict[str, Tensor]]:
        return (nets["maker"](batch) * 0).square().sum().sqrt() + 1, {}  # finite, with the gradient 0/0

    nets = networks()
    before = weights(nets)
    with pytest.raises(VidinvError, match="gradients"):
        loop.train(nets, [loop.Step("make", ("maker",), adam, broken)], DATA, plan(8), tmp_path)
    assert same(before, weights(nets))


def test_an_interrupted_training_ends_with_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    whole = networks()
    averaged = loop.train(whole, [MAKER, JUDGE], DATA, plan(40, clip=0.5), tmp_path / "whole")

    with pytest.raises(Stop):  # checkpoints lie at turns 2, 4 and 6
        loop.train(networks(), [MAKER, JUDGE], StoppedAt(DATA, 7), plan(40, clip=0.5), tmp_path / "parts")
    again = networks()
    resumed = loop.train(again, [MAKER, JUDGE], DATA, plan(40, clip=0.5), tmp_path / "parts")
    assert same(weights(whole), weights(again)) and same(averaged, resumed)


def test_the_rate_follows_the_images_seen(tmp_path: Path) -> None:
    nets = networks()
    frozen = weights(nets)
    loop.train(nets, [MAKER], DATA, plan(16, rate=lambda images: 0.0), tmp_path)
    assert same(frozen, weights(nets))


def test_the_average_lags_behind_the_weights(tmp_path: Path) -> None:
    nets = networks()
    start = weights(nets)["maker.weight"]
    average = loop.train(nets, [MAKER], DATA, plan(40, ema=0.9), tmp_path)["maker.weight"]
    end = nets["maker"].weight.detach()
    assert 0 < (average - start).norm() < (end - start).norm()


def test_samples_are_drawn_with_the_averaged_weights_and_leave_no_trace(tmp_path: Path) -> None:
    nets, seen = networks(), []

    def samples(given: loop.Networks) -> Tensor:
        seen.append((given["maker"].training, given["maker"].weight.detach().clone()))
        return torch.zeros(3, 8, 8)

    average = loop.train(nets, [MAKER], DATA, plan(16, sample_every=16, ema=0.9), tmp_path, samples)
    assert len(seen) == 1 and not seen[0][0] and torch.equal(seen[0][1], average["maker.weight"])
    assert nets["maker"].training and not torch.equal(nets["maker"].weight, average["maker.weight"])
    assert (tmp_path / "samples-00000016.png").exists()


def test_a_loss_that_is_not_finite_stops_with_its_step_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    loop.train(networks(), [MAKER], DATA, plan(8), tmp_path)
    kept = load_file(tmp_path / "checkpoint" / "networks.safetensors")

    def broken(nets: loop.Networks, batch: Tensor, random: StepRandom) -> tuple[Tensor, dict[str, Tensor]]:
        loss, parts = make(nets, batch, random)
        return loss * float("nan"), parts

    with pytest.raises(VidinvError, match=r"'make'.*turn 2"):
        loop.train(networks(), [loop.Step("make", ("maker",), adam, broken)], DATA, plan(16), tmp_path)
    assert same(kept, load_file(tmp_path / "checkpoint" / "networks.safetensors"))


def test_a_kill_between_two_checkpoints_leaves_one(tmp_path: Path) -> None:
    loop.train(networks(), [MAKER], DATA, plan(8), tmp_path)
    (tmp_path / "checkpoint").rename(tmp_path / "checkpoint.old")
    (tmp_path / "checkpoint.new").mkdir()
    assert checkpoint.exists(tmp_path)
    loop.train(networks(), [MAKER], DATA, plan(16), tmp_path)
    assert {entry.name for entry in tmp_path.iterdir()} >= {"checkpoint"}
    assert not (tmp_path / "checkpoint.old").exists() and not (tmp_path / "checkpoint.new").exists()


@pytest.mark.parametrize(
    ("step", "changes", "said"),
    [(loop.Step("x", ("nobody",), adam, make), {}, "nobody"), (MAKER, {"images": 0}, "images=0")],
)
def test_a_plan_that_cannot_be_is_a_usage_error(
    tmp_path: Path, step: loop.Step, changes: dict[str, int], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        loop.train(networks(), [step], DATA, plan(**{"images": 8, **changes}), tmp_path)


def test_the_plan_in_words_names_networks_steps_and_turns() -> None:
    said = loop.describe(networks(), [MAKER, JUDGE], plan(10))
    assert "3 turns of 4" in said and "network maker: 0.00 M" in said and "step judge: trains judge, every 2" in said


@pytest.mark.slow
def test_two_processes_end_where_one_does(tmp_path: Path) -> None:
    one = networks()
    loop.train(one, [MAKER_PLAIN], DATA, plan(40), tmp_path / "one")
    script = tmp_path / "two.py"
    script.write_text(
        textwrap.dedent(f"""
            from pathlib import Path
            from tests.helpers.small_training import DATA, MAKER_PLAIN, networks, plan
            from vidinv.trainers.core import loop
            loop.train(networks(), [MAKER_PLAIN], DATA, plan(40, devices=2), Path({str(tmp_path / "two")!r}))
        """)
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, cwd=root, env=environment, capture_output=True, timeout=300)
    two = load_file(tmp_path / "two" / "checkpoint" / "networks.safetensors")
    for key, value in weights(one).items():
        torch.testing.assert_close(two[key], value, rtol=1e-5, atol=1e-6)
    logs = [[json.loads(x) for x in (tmp_path / n / "log.jsonl").read_text().splitlines()] for n in ("one", "two")]
    assert [a["make/loss"] for a in logs[0]] == pytest.approx([b["make/loss"] for b in logs[1]], rel=1e-4)


def test_a_step_that_shares_an_optimiser_moves_the_weights_with_its_moments(tmp_path: Path) -> None:
    shared = loop.Step("pull", ("maker",), adam, make, shares="make")
    nets = networks()
    loop.train(nets, [MAKER, shared], DATA, plan(16), tmp_path / "shared")
    twice = json.loads((tmp_path / "shared" / "checkpoint" / "state.json").read_text())["optimisers"]
    assert list(twice) == ["make"]
    own = networks()
    loop.train(own, [MAKER, loop.Step("pull", ("maker",), adam, make)], DATA, plan(16), tmp_path / "own")
    assert not same(weights(nets), weights(own))
    for owner in ("nobody", "judge"):
        with pytest.raises(UsageError, match="shares the optimiser"):
            loop.check_plan(nets, [MAKER, JUDGE, loop.Step("pull", ("maker",), adam, make, shares=owner)], plan(16))


class FileRows(RandomRows):
    """As if they were read from files."""

    @property
    def decodes(self) -> bool:
        return True


@pytest.mark.parametrize("workers", [0, 2])
def test_what_was_fetched_ahead_of_an_interruption_is_fetched_again(tmp_path: Path, workers: int) -> None:
    whole, again = networks(), networks()
    loop.train(whole, [MAKER], DATA, plan(40), tmp_path / "whole")
    own = plan(40, workers=workers)
    with pytest.raises(Stop):
        loop.train(networks(), [MAKER], StoppedAt(FileRows(), 5), own, tmp_path / "parts")
    loop.train(again, [MAKER], FileRows(), own, tmp_path / "parts")
    assert same(weights(whole), weights(again))


def test_the_global_random_state_of_a_loss_is_of_its_turn(tmp_path: Path) -> None:
    """An encoder's own noise has no generator: it is drawn from the global state."""

    def noisy(nets: loop.Networks, batch: Tensor, random: StepRandom) -> tuple[Tensor, dict[str, Tensor]]:
        return (nets["maker"](batch) + torch.randn(len(batch), 4)).square().mean(), {}

    step, whole, again = loop.Step("make", ("maker",), adam, noisy), networks(), networks()
    loop.train(whole, [step], DATA, plan(40), tmp_path / "whole")
    with pytest.raises(Stop):
        loop.train(networks(), [step], StoppedAt(DATA, 5), plan(40), tmp_path / "parts")
    torch.randn(3)
    loop.train(again, [step], DATA, plan(40), tmp_path / "parts")
    assert same(weights(whole), weights(again))


@pytest.mark.parametrize("written", [None, 1, 99])
def test_a_checkpoint_of_another_version_is_refused_in_one_line(tmp_path: Path, written: int | None) -> None:
    loop.train(networks(), [MAKER], DATA, plan(8), tmp_path)
    path = tmp_path / "checkpoint" / "state.json"
    state = {key: value for key, value in json.loads(path.read_text()).items() if key != "format"}
    path.write_text(json.dumps(state if written is None else {**state, "format": written}))
    for read in (
        lambda: loop.train(networks(), [MAKER], DATA, plan(16), tmp_path),
        lambda: checkpoint.turns_done(tmp_path),
    ):
        with pytest.raises(UsageError, match="another version") as refused:
            read()
        assert "\n" not in str(refused.value) and str(tmp_path) in str(refused.value)
