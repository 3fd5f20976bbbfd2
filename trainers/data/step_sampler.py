"""Choose the samples of each process and training step, as a pure function of the step, for an exact resume."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch.utils.data import Sampler


class SampleKey(NamedTuple):
    """Row `row` of the global batch of step `step`, with the dataset's entry number `entry`.

    `seed` depends on the training's seed, the step and the row only; it seeds all random numbers of the sample.
    """

    step: int
    row: int
    entry: int
    seed: int

    def generator(self) -> torch.Generator:
        """Return a new CPU generator of the sample's random numbers."""
        return torch.Generator().manual_seed(self.seed)


def seed_for(*parts: int | str) -> int:
    """Return a seed in [0, 2**63) that depends on all parts and their order."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "little") >> 1


class StepBatchSampler(Sampler[list[SampleKey]]):
    """The keys of this process's rows of every global batch from step `first` up to, not including, step `last`.

    The entries of a dataset are shuffled in every epoch; an endless dataset (`length` None) is read in order. The
    global batch of a step does not depend on the number of processes; process `rank` of `world_size` has the rows from
    rank * batch / world_size on. Raises ValueError if the batch cannot be divided evenly.
    """

    def __init__(
        self,
        seed: int,
        batch: int,
        *,
        length: int | None,
        rank: int = 0,
        world_size: int = 1,
        first: int = 0,
        last: int = 0,
    ) -> None:
        if batch % world_size or not 0 <= rank < world_size:
            raise ValueError(
                f"a batch of {batch} cannot be divided among {world_size} processes (this is number {rank})"
            )
        if length == 0:
            raise ValueError("the dataset is empty")
        self.seed, self.batch, self.length = seed, batch, length
        self.first, self.last = first, last
        share = batch // world_size
        self.rows = range(rank * share, (rank + 1) * share)
        self._order: tuple[int, torch.Tensor] | None = None  # (epoch, permutation) of the last epoch used

    def __len__(self) -> int:
        return max(self.last - self.first, 0)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        return (self.keys(step) for step in range(self.first, self.last))

    def keys(self, step: int) -> list[SampleKey]:
        """Return the keys of this process's rows in one step."""
        return [
            SampleKey(step, row, self._entry(step * self.batch + row), seed_for(self.seed, "sample", step, row))
            for row in self.rows
        ]

    def _entry(self, place: int) -> int:
        """Return the entry at a position of the sequence of shuffled epochs."""
        if self.length is None:
            return place
        epoch, place = divmod(place, self.length)
        if self._order is None or self._order[0] != epoch:
            random = torch.Generator().manual_seed(seed_for(self.seed, "epoch", epoch))
            self._order = epoch, torch.randperm(self.length, generator=random)
        return int(self._order[1][place])
