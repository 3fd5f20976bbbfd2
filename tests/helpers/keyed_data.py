"""Datasets of trainings in tests: rows of random numbers, and trainings that are stopped at a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vidinv.trainers.data.keyed_dataset import KeyedDataset
from vidinv.trainers.data.step_sampler import SampleKey


class Stop(Exception):
    """A training is interrupted."""


class RandomRows(KeyedDataset):
    """Row r of step n: row r of 64 rows of `wide` normal numbers of seed n."""

    def __init__(self, wide: int = 4) -> None:
        self.wide = wide

    def __getitem__(self, key: SampleKey) -> Tensor:
        return torch.randn(64, self.wide, generator=torch.Generator().manual_seed(key.step))[key.row]


class StoppedAt(KeyedDataset):
    """The data of a training that raises Stop before step `step`."""

    def __init__(self, data: KeyedDataset, step: int) -> None:
        self.data, self.step = data, step

    @property
    def length(self) -> int | None:
        return self.data.length

    @property
    def decodes(self) -> bool:
        return self.data.decodes

    def batch(self, keys: Sequence[SampleKey]) -> Any:
        return self.data.batch(keys)

    def finish(self, keys: Sequence[SampleKey], found: Any) -> Any:
        if keys[0].step == self.step:
            raise Stop
        return self.data.finish(keys, found)
