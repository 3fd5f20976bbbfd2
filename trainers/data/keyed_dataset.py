"""Define map-style datasets that are indexed by key: each sample is a pure function of training step and row."""

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
        """Whether samples are decoded from files, so that workers help; False for stored tensors and renderings."""
        return False

    @property
    def length(self) -> int | None:
        """Number of entries; None for an endless dataset."""
        return None

    def __getitem__(self, key: SampleKey) -> Tensor:
        """Return one sample, without a batch axis."""
        raise NotImplementedError("abstract: a dataset defines its samples")

    def batch(self, keys: Sequence[SampleKey]) -> Any:
        """Return the samples of one process's rows of a step. Runs in a worker process, if there are workers."""
        return torch.stack([self[key] for key in keys])

    def finish(self, keys: Sequence[SampleKey], found: Any) -> Any:
        """Build the training batch from the result of `batch`. Runs in the training process, just before the step."""
        return found


class ImageDataset(KeyedDataset):
    """Pictures: a sample is [3,S,S] in [-1,1]."""

    def draw(self, count: int, seed: int) -> Tensor:
        """Return `count` pictures [count,3,S,S] in [-1,1] for sample grids; they depend on `seed` alone."""
        found: Tensor = self.batch(StepBatchSampler(seed, count, length=self.length).keys(0))
        return found
