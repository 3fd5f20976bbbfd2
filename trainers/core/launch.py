"""The processes that share a training, on one machine or several, as `torchrun` or `launch` starts them."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import distributed

from vidinv import process
from vidinv.errors import UsageError

TORCHRUN = (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))  # its variables, and what they are without it
PORT = 29400  # where several machines meet, if none is named


@dataclass(frozen=True)
class ProcessRank:
    """Which of how many processes this is, which on its machine, and of how many machines."""

    rank: int = 0
    count: int = 1
    local: int = 0
    machines: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0


def place() -> ProcessRank:
    """As `torchrun` says in the environment; alone without it. UsageError for machines of unequal processes."""
    rank, count, local = (int(os.environ.get(name, default)) for name, default in TORCHRUN)
    if "RANK" not in os.environ:
        return ProcessRank()
    here = int(os.environ.get("LOCAL_WORLD_SIZE", count))
    if count % here:
        raise UsageError(
            f"{count} processes, {here} of them on this machine", remedy="start equally many on every machine"
        )
    return ProcessRank(rank, count, local, count // here)


def take_device(device: str, here: ProcessRank) -> None:
    """Make "cuda" mean this process's own GPU. Raises UsageError where there are fewer GPUs than processes."""
    if device != "cuda":
        return
    if here.local >= torch.cuda.device_count():
        raise UsageError(
            f"{here.count} processes and {torch.cuda.device_count()} GPUs", remedy="one process a GPU, or --device cpu"
        )
    torch.cuda.set_device(here.local)


def part_at_exit() -> None:
    """Have this process leave the others' group as it ends: gloo's threads would else now and then abort it."""
    if distributed.is_initialized():
        atexit.unregister(distributed.destroy_process_group)  # once, of several trainings in a row
        atexit.register(distributed.destroy_process_group)


def are_due(devices: int, nodes: int) -> bool:
    """Whether the processes that were asked for have to be started: this is none of them."""
    return devices * nodes > 1 and "RANK" not in os.environ


def launch(devices: int, nodes: int, meet: str | None, arguments: Sequence[str]) -> int:
    """Start `devices` processes of `vidinv ARGUMENTS` here, of `nodes` machines; returns the exit code of the worst.

    Every machine gives the same command; they meet at `meet` (HOST:PORT of one of them), which one machine needs not.
    Raises UsageError for machines that have nowhere to meet.
    """
    if nodes > 1 and meet is None:
        raise UsageError(
            f"{nodes} machines have to meet somewhere", remedy=f"give every one --meet HOST:{PORT}, HOST one of them"
        )
    where = ["--standalone"] if meet is None else ["--rdzv-backend", "c10d", "--rdzv-endpoint", meet]
    shape = ["--nnodes", str(nodes), "--nproc-per-node", str(devices)]
    command = [sys.executable, "-m", "torch.distributed.run", *where, *shape, "-m", "vidinv", *arguments]
    cores = process.cores()
    environment = {"OMP_NUM_THREADS": str(max(1, cores // devices))} | os.environ
    return subprocess.run(command, env=environment).returncode
