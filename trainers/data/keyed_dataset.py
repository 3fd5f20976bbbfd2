"""Map-style datasets whose samples are asked for by key: each is a pure function of its training step and row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from vidinv.trainers.data.step_sampler import SampleKey, StepBatchSampler


class KeyedDataset(Dataset[Any]):
    """A dataset from `SampleKey`s to batches. A subclass defines `__getitem__`, or `batch` where samples share work."""

    @property
    def decodes(self) -> bool:
        """Whether samples are read from files, which workers can do; not what is in memory or a network draws."""
        return False

    @property
    def length(self) -> int | None:
        """Number of entries; None for a dataset without end."""
        return None

    def __getitem__(self, key: SampleKey) -> Tensor:
        """One sample, without a batch axis."""
        raise NotImplementedError("abstract: a dataset defines its samples")

    def batch(self, keys: Sequence[SampleKey]) -> Any:
        """The samples of one process's rows of a step. Runs in a worker process where there are any."""
        return torch.stack([self[key] for key in keys])

    def finish(self, keys: Sequence[SampleKey], found: Any) -> Any:
        """The training's batch from what `batch` found. Runs in the training's own process, just before the step."""
        return found


class ImageDataset(KeyedDataset):
    """Pictures: a sample is [3,S,S] in [-1,1]."""

    def draw(self, count: int, seed: int) -> Tensor:
        """`count` pictures [count,3,S,S] in [-1,1], which depend on `seed` alone: for sample grids."""
        found: Tensor = self.batch(StepBatchSampler(seed, count, length=self.length).keys(0))
        return found
