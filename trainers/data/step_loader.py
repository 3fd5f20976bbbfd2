"""Load the batches of a keyed dataset step by step, with worker processes if samples are decoded from files."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from vidinv.errors import UsageError, VidinvError
from vidinv.trainers.data.keyed_dataset import KeyedDataset
from vidinv.trainers.data.step_sampler import SampleKey, StepBatchSampler

SMALL, MOST = 4, 4  # up to SMALL cores there are no workers by default; MOST is the default maximum of workers


def worker_count(dataset: KeyedDataset, requested: int, local_processes: int = 1) -> int:
    """Return the number of worker processes: 0 for a dataset that decodes nothing, else the requested number.

    With `requested` -1 there are none on a machine of up to SMALL cores, else half of the process's share of the
    cores, at most MOST. Raises UsageError below -1.
    """
    if requested < -1:
        raise UsageError(f"workers={requested} is below -1", remedy="set workers=-1, 0 or more")
    if not dataset.decodes or requested >= 0:
        return requested if dataset.decodes else 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if cores <= SMALL else min(MOST, cores // local_processes // 2)


def step_batches(
    dataset: KeyedDataset, sampler: StepBatchSampler, *, workers: int = 0, pin: bool = False
) -> Generator[Any, None, None]:
    """Yield the sampler's batches in order, on the CPU unless the dataset's `finish` moves them.

    Workers prefetch and live as long as the iterator. Prefetched batches that no step used are fetched again after a
    resume, since a batch depends on its keys alone. `pin` uses pinned memory, for batches that go to a GPU. A
    VidinvError in a worker is raised here unchanged.
    """
    loader = DataLoader(
        _Fetched(dataset),
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=_as_it_is,
        persistent_workers=workers > 0,
        pin_memory=pin,
        generator=torch.Generator(),  # seeds the workers, which draw nothing, without advancing the global generator
    )
    for keys, found in loader:
        if isinstance(found, VidinvError):
            raise found
        yield dataset.finish(keys, found)


class _Fetched(Dataset[Any]):
    """Dataset of whole batches with their keys; a VidinvError is returned in place of the batch."""

    def __init__(self, dataset: KeyedDataset) -> None:
        self.dataset = dataset

    def __getitems__(self, keys: list[SampleKey]) -> tuple[list[SampleKey], Any]:
        try:
            return keys, self.dataset.batch(keys)
        except VidinvError as error:
            return keys, error


def _as_it_is(batch: Any) -> Any:
    """Collate function that changes nothing: the dataset collates."""
    return batch
