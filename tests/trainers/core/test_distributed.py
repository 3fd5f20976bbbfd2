"""Two processes that train an autoencoder end where one does, though its losses look at the whole batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.helpers import shared_turns
from tests.helpers.ae_recipes import recipe as ae_recipe
from tests.helpers.automodulator_recipes import recipe as modulator_recipe
from vidinv.errors import UsageError
from vidinv.trainers.core import distributed

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes make of every case."""
    folder = tmp_path_factory.mktemp("two")
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, "-m", *launch, "-m", "tests.helpers.shared_turns", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


def ended(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "checkpoint" / "networks.safetensors")


def logged(folder: Path) -> list[dict[str, float]]:
    """The lines of a training's log but for how quick it was."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "pace"} for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["joint", "decoupled", "modulator", "settling"])
def test_two_processes_end_where_one_does(name: str, two: Path, tmp_path: Path) -> None:
    networks = shared_turns.CASES[name]()[0]
    start = {f"{n}.{key}": value.clone() for n, net in networks.items() for key, value in net.state_dict().items()}
    shared_turns.run(name, tmp_path)
    one, other = ended(tmp_path / name), ended(two / name)
    assert one.keys() == other.keys() == start.keys()
    for key, value in one.items():
        # Rounding differs by processor, and is more than a fixed bound where gradients cancel; a wrong share of them
        # would be off by half.
        went = float((value.double() - start[key].double()).abs().max())
        close = max(2e-6, 0.02 * went)
        torch.testing.assert_close(other[key], value, rtol=1e-4, atol=close, msg=lambda text, k=key: f"{k}: {text}")
    moved = {key.split(".")[0] for key, value in one.items() if not torch.equal(value, start[key])}
    assert moved >= {key for key, network in networks.items() if any(True for _ in network.parameters())}
    for turn, (mine, theirs) in enumerate(zip(logged(tmp_path / name), logged(two / name), strict=True)):
        assert mine == pytest.approx(theirs, rel=1e-2 if turn else 1e-5, abs=1e-5), "rounding grows with the turns"


@pytest.mark.slow
def test_batch_norm_sees_a_process_s_own_rows_so_that_two_do_not_equal_one(two: Path, tmp_path: Path) -> None:
    shared_turns.run("batch-norm", tmp_path)
    one, other = ended(tmp_path / "batch-norm"), ended(two / "batch-norm")
    assert not torch.allclose(one["net.1.weight"], other["net.1.weight"], rtol=1e-2)


def test_alone_nothing_is_gathered() -> None:
    x = torch.randn(4, 3)
    assert distributed.gather_rows(x) is x and distributed.own_rows(x) is x
    torch.testing.assert_close(distributed.gradient_norm(x), x.norm())


def test_a_batch_that_processes_cannot_share_is_refused() -> None:
    ae_recipe(batch=6).check(3)
    modulator_recipe().check(2)
    for make, match in (
        (lambda: ae_recipe(batch=8).check(3), "divided among 3"),
        (lambda: ae_recipe(batch=6, path=2.0).check(3 * 2), "divided among 6"),
        (lambda: modulator_recipe().check(4), "2 mixtures"),
    ):
        with pytest.raises(UsageError, match=match):
            make()
