"""Trainings that several processes or machines share: who draws what, and resume with another number of them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.helpers.small_training import DATA, MAKER_PLAIN, networks, plan, weights
from vidinv.trainers.core import loop

ROOT = Path(__file__).parents[3]
SCRIPT = """
    import json, sys
    from pathlib import Path
    from tests.helpers.keyed_data import RandomRows
    from tests.helpers.small_training import MAKER_PLAIN, networks, plan
    from vidinv.trainers.core import launch, loop

    folder, images, here = Path(sys.argv[1]), int(sys.argv[2]), launch.process_rank()

    class Noted(RandomRows):
        def __getitem__(self, key):
            with (folder.parent / f"{folder.name}-rows-{here.rank}").open("a") as file:
                file.write(json.dumps([key.step, key.row]) + chr(10))
            return super().__getitem__(key)

    loop.train(
        networks(), [MAKER_PLAIN], Noted(), plan(images, devices=here.count, machines=here.machines), folder
    )
"""


def started(place: Path, folder: Path, images: int, *how: str) -> subprocess.Popen[str]:
    script = place / "training.py"
    script.write_text(textwrap.dedent(SCRIPT))
    command = [sys.executable, "-m", "torch.distributed.run", *how, str(script), str(folder), str(images)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True)


def ended(*trainings: subprocess.Popen[str]) -> None:
    for training in trainings:
        _, said = training.communicate(timeout=300)
        assert training.returncode == 0, said


def assert_ends_like(folder: Path, whole: loop.Networks) -> None:
    found = load_file(folder / "checkpoint" / "networks.safetensors")
    for key, value in weights(whole).items():
        torch.testing.assert_close(found[key], value, rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> loop.Networks:
    """What one process makes of 40 images."""
    nets = networks()
    loop.train(nets, [MAKER_PLAIN], DATA, plan(40), tmp_path_factory.mktemp("whole"))
    return nets


@pytest.mark.slow
def test_a_training_goes_on_with_another_number_of_processes(tmp_path: Path, whole: loop.Networks) -> None:
    folder = tmp_path / "t"
    loop.train(networks(), [MAKER_PLAIN], DATA, plan(8), folder)
    ended(started(tmp_path, folder, 24, "--standalone", "--nproc-per-node", "2"))
    loop.train(networks(), [MAKER_PLAIN], DATA, plan(40), folder)
    assert_ends_like(folder, whole)
    drawn = [json.loads(x) for n in range(2) for x in (tmp_path / f"t-rows-{n}").read_text().splitlines()]
    assert sorted(drawn) == [[turn, row] for turn in range(2, 6) for row in range(4)]  # each once, none left out


@pytest.mark.slow
def test_two_machines_end_where_one_process_does(tmp_path: Path, whole: loop.Networks) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "t"]
    how = ["--nnodes", "2", "--nproc-per-node", "1", "--local-addr", "127.0.0.1", *meeting]
    ended(*[started(tmp_path, tmp_path / "t", 40, *how) for _ in range(2)])
    assert_ends_like(tmp_path / "t", whole)


@pytest.mark.slow
def test_machines_that_do_not_share_the_folder_are_told(tmp_path: Path) -> None:
    loop.train(networks(), [MAKER_PLAIN], DATA, plan(8), tmp_path / "seen")
    script = tmp_path / "training.py"
    script.write_text(
        textwrap.dedent(f"""
            from pathlib import Path
            from tests.helpers.small_training import DATA, MAKER_PLAIN, networks, plan
            from vidinv.trainers.core import launch, loop
            from vidinv.errors import UsageError
            rank = launch.process_rank().rank
            folder = Path({str(tmp_path)!r}) / ("seen" if rank else "empty")
            try:
                loop.train(networks(), [MAKER_PLAIN], DATA, plan(40, devices=2), folder)
            except UsageError as error:
                (Path({str(tmp_path)!r}) / f"said-{{rank}}").write_text(str(error))
        """)
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, cwd=ROOT, env=environment, capture_output=True, timeout=300)
    for rank in (0, 1):
        assert "that all machines share" in (tmp_path / f"said-{rank}").read_text()
