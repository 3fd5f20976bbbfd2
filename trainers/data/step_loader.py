"""Batches of a keyed dataset, step by step: fetched by worker processes where samples are decoded from files."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from vidinv.errors import UsageError, VidinvError
from vidinv.trainers.data.keyed_dataset import KeyedDataset
from vidinv.trainers.data.step_sampler import SampleKey, StepBatchSampler

SMALL, MOST = 4, 4  # cores of a machine without workers by default, and workers by default of a larger one


def worker_count(dataset: KeyedDataset, asked: int, local_processes: int = 1) -> int:
    """How many worker processes decode a dataset's samples: 0 where nothing is decoded, else as many as asked.

    With `asked` -1 there are none on a machine of up to SMALL cores, else half of the process's share of the cores, at
    most MOST. Raises UsageError below -1.
    """
    if asked < -1:
        raise UsageError(f"{asked} worker processes are not possible", remedy="set workers=-1, 0 or more")
    if not dataset.decodes or asked >= 0:
        return asked if dataset.decodes else 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if cores <= SMALL else min(MOST, cores // local_processes // 2)


def step_batches(
    dataset: KeyedDataset, sampler: StepBatchSampler, *, workers: int = 0, pin: bool = False
) -> Generator[Any, None, None]:
    """The sampler's batches in order, on the CPU unless the dataset's `finish` puts them elsewhere.

    Workers fetch ahead and live as long as the iterator; what they fetched and no step took is fetched again after a
    resume, since a batch depends on its keys alone. `pin` is for batches that go to a GPU. A VidinvError in a worker is
    raised here as it is.
    """
    loader = DataLoader(
        _Fetched(dataset),
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=_as_it_is,
        persistent_workers=workers > 0,
        pin_memory=pin,
        generator=torch.Generator(),  # the seed of the workers, which draw nothing, must not move the global state
    )
    for keys, found in loader:
        if isinstance(found, VidinvError):
            raise found
        yield dataset.finish(keys, found)


class _Fetched(Dataset[Any]):
    """Whole batches of a dataset with their keys, or the VidinvError that came in their place."""

    def __init__(self, dataset: KeyedDataset) -> None:
        self.dataset = dataset

    def __getitems__(self, keys: list[SampleKey]) -> tuple[list[SampleKey], Any]:
        try:
            return keys, self.dataset.batch(keys)
        except VidinvError as error:
            return keys, error


def _as_it_is(batch: Any) -> Any:
    """In place of a collate function: the dataset collates."""
    return batch
