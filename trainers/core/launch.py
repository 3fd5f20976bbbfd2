"""Start the processes of a distributed training, and read the rank that `torchrun` gave to this process."""

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

TORCHRUN = (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))  # its variables and their defaults
PORT = 29400  # port of the rendezvous, for the error message


@dataclass(frozen=True)
class ProcessRank:
    """Rank of this process, number of processes, rank on this machine, and number of machines."""

    rank: int = 0
    count: int = 1
    local: int = 0
    machines: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0


def process_rank() -> ProcessRank:
    """Read the rank from torchrun's environment; a single process without it.

    Raises UsageError if the machines have different numbers of processes.
    """
    rank, count, local = (int(os.environ.get(name, default)) for name, default in TORCHRUN)
    if "RANK" not in os.environ:
        return ProcessRank()
    here = int(os.environ.get("LOCAL_WORLD_SIZE", count))
    if count % here:
        raise UsageError(
            f"{here} of {count} processes are on this machine, so the machines differ",
            remedy="start the same number of processes on every machine",
        )
    return ProcessRank(rank, count, local, count // here)


def take_device(device: str, here: ProcessRank) -> None:
    """Select this process's GPU if `device` is "cuda". Raises UsageError if there are fewer GPUs than processes."""
    if device != "cuda":
        return
    if here.local >= torch.cuda.device_count():
        raise UsageError(
            f"process {here.local} has no GPU of its own: this machine has {torch.cuda.device_count()}",
            remedy="start one process per GPU, or give --device cpu",
        )
    torch.cuda.set_device(here.local)


def leave_group_at_exit() -> None:
    """Leave the process group at exit: otherwise gloo's threads sometimes abort the process."""
    if distributed.is_initialized():
        atexit.unregister(distributed.destroy_process_group)  # registered once for several trainings in a row
        atexit.register(distributed.destroy_process_group)


def needs_launch(devices: int, nodes: int) -> bool:
    """Return whether the requested processes still have to be started: this process is not one of them."""
    return devices * nodes > 1 and "RANK" not in os.environ


def launch(devices: int, nodes: int, meet: str | None, arguments: Sequence[str]) -> int:
    """Start `devices` processes of `vidinv ARGUMENTS` on this machine, one of `nodes`; returns torchrun's exit code.

    Every machine runs the same command, and all connect to `meet` (HOST:PORT of one machine); a single machine needs
    no `meet`. Raises UsageError for several machines without `meet`.
    """
    if nodes > 1 and meet is None:
        raise UsageError(
            f"--nodes {nodes} needs an address that all machines can reach",
            remedy=f"give every machine --meet HOST:{PORT}, where HOST is one of them",
        )
    where = ["--standalone"] if meet is None else ["--rdzv-backend", "c10d", "--rdzv-endpoint", meet]
    shape = ["--nnodes", str(nodes), "--nproc-per-node", str(devices)]
    command = [sys.executable, "-m", "torch.distributed.run", *where, *shape, "-m", "vidinv", *arguments]
    cores = process.cores()
    environment = {"OMP_NUM_THREADS": str(max(1, cores // devices))} | os.environ
    return subprocess.run(command, env=environment).returncode
