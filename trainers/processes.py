"""The processes that share a training on one machine, as `torchrun` starts them."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from vidinv.errors import UsageError

TORCHRUN = (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))  # its variables, and what they are without it


@dataclass(frozen=True)
class Place:
    """Which of how many processes this is, and which on its machine."""

    rank: int = 0
    count: int = 1
    local: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0


def place() -> Place:
    """As `torchrun` says in the environment; alone without it. UsageError for several machines."""
    rank, count, local = (int(os.environ.get(name, default)) for name, default in TORCHRUN)
    if "RANK" not in os.environ:
        return Place()
    if count != int(os.environ.get("LOCAL_WORLD_SIZE", count)):
        raise UsageError("a training is shared by the processes of one machine", remedy="leave --nnodes out")
    return Place(rank, count, local)


def take_device(device: str, here: Place) -> None:
    """Make "cuda" mean this process's own GPU. Raises UsageError where there are fewer GPUs than processes."""
    if device != "cuda":
        return
    if here.local >= torch.cuda.device_count():
        raise UsageError(
            f"{here.count} processes and {torch.cuda.device_count()} GPUs", remedy="one process a GPU, or --device cpu"
        )
    torch.cuda.set_device(here.local)
