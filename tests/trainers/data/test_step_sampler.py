"""Data by step: every step's batch is a function of the step, shared among processes, and read by workers."""

from __future__ import annotations

import os
from collections import Counter
from itertools import chain
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.helpers.image_files import png, tar
from vidinv.errors import InputUnreadable, UsageError
from vidinv.trainers.data.image_sources import open_pictures
from vidinv.trainers.data.keyed_dataset import ImageDataset, KeyedDataset
from vidinv.trainers.data.step_loader import step_batches, worker_count
from vidinv.trainers.data.step_sampler import SampleKey, StepBatchSampler, seed_for
from vidinv.trainers.data.toy_images import Blobs


def sampler(**changes: int | None) -> StepBatchSampler:
    return StepBatchSampler(**{"seed": 1, "batch": 4, "length": 10, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("length", [10, 3, None])
def test_the_processes_of_any_number_share_the_batch_of_one(length: int | None) -> None:
    for step in (0, 1, 7, 123_456):
        whole = sampler(length=length).keys(step)
        for count in (2, 4):
            parts = [sampler(length=length, rank=rank, world_size=count).keys(step) for rank in range(count)]
            assert list(chain(*parts)) == whole and {len(part) for part in parts} == {4 // count}


def test_a_resumed_sampler_gives_the_keys_of_one_that_was_not_stopped() -> None:
    whole, rest = list(sampler(last=9)), list(sampler(first=5, last=9))
    assert rest == whole[5:] and len(sampler(first=5, last=9)) == 4
    assert [key.row for key in whole[2]] == [0, 1, 2, 3] and {key.step for key in whole[2]} == {2}
    assert list(sampler(first=9, last=9)) == [] and len(sampler(first=12, last=9)) == 0


def test_every_epoch_shows_every_entry_once_in_another_order() -> None:
    entries = [key.entry for keys in sampler(last=10) for key in keys]  # four epochs
    epochs = [entries[start : start + 10] for start in range(0, 40, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert entries != [key.entry for keys in sampler(last=10, seed=2) for key in keys]


def test_no_two_rows_of_a_training_have_the_same_random_numbers() -> None:
    seeds = Counter(key.seed for seed in (1, 2) for keys in sampler(last=500, seed=seed) for key in keys)
    assert len(seeds) == 4000
    assert seed_for(1, 23) != seed_for(12, 3) and 0 <= seed_for(0) < 2**63


def test_what_cannot_be_shared_or_is_empty_is_refused() -> None:
    for changes, match in (({"world_size": 3}, "4 cannot be divided among 3"), ({"length": 0}, "empty")):
        with pytest.raises(ValueError, match=match):
            sampler(**changes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n in range(7):
        picture = np.full((16, 16, 3), 30 * n, np.uint8)
        picture[:, :8] += 20
        cv2.imwrite(str(tmp_path / f"{n}.png"), picture)
    return tmp_path


def batches(data: KeyedDataset, first: int, workers: int) -> list[Tensor]:
    return list(step_batches(data, sampler(length=data.length, first=first, last=8), workers=workers))


def test_workers_decode_the_batches_that_the_training_would_itself(folder: Path) -> None:
    whole = batches(open_pictures(str(folder), 8), 0, 0)
    assert whole[0].shape == (4, 3, 8, 8) and not torch.equal(whole[0], whole[1])
    for first, workers in ((0, 2), (3, 1), (5, 2)):
        found = batches(open_pictures(str(folder), 8), first, workers)
        assert len(found) == 8 - first
        assert all(torch.equal(one, other) for one, other in zip(found, whole[first:], strict=True))


def test_tars_and_databases_are_read_by_workers(tmp_path: Path) -> None:
    files = {f"{n}.png": png(8, 20 * n) for n in range(7)}
    with lmdb.open(str(tmp_path / "faces"), map_size=1 << 20) as store, store.begin(write=True) as transaction:
        for name, raw in files.items():
            transaction.put(name.encode(), raw)
    for path in (tar(tmp_path / "faces.tar", files), tmp_path / "faces"):
        whole = batches(open_pictures(str(path), 8), 0, 0)
        found = batches(open_pictures(str(path), 8), 0, 2)
        assert all(torch.equal(one, other) for one, other in zip(found, whole, strict=True)), path


class Placed(ImageDataset):
    """Which process made the sample, and what the global random state would give there."""

    def __init__(self, decodes: bool) -> None:
        self._decodes = decodes

    @property
    def decodes(self) -> bool:
        return self._decodes

    def __getitem__(self, key: SampleKey) -> Tensor:
        return torch.tensor(os.getpid())


def test_only_what_is_decoded_is_given_to_workers() -> None:
    assert worker_count(Placed(True), 3) == 3 and worker_count(Placed(False), 3) == worker_count(Blobs(), 3) == 0
    assert 0 <= worker_count(Placed(True), -1) <= 4 and worker_count(Placed(True), -1, 1000) == 0
    with pytest.raises(UsageError, match="workers=-1, 0 or more"):
        worker_count(Placed(True), -2)
    places = {int(place) for batch in batches(Placed(True), 0, 2) for place in batch}
    assert len(places) == 2 and os.getpid() not in places


def test_reading_leaves_the_global_random_state_alone(folder: Path) -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    batches(open_pictures(str(folder), 8), 0, 2)
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_files_of_workers_are_known_to_the_training_and_end_it_where_all_are_bad(
    folder: Path, workers: int
) -> None:
    (folder / "0.png").write_text("torn")
    photos = open_pictures(str(folder), 8)
    with pytest.warns(UserWarning) if workers == 0 else torch.no_grad():
        batches(photos, 0, workers)
    assert {path.name for path in photos.bad} == {"0.png"}  # type: ignore[attr-defined]
    for path in folder.iterdir():
        path.write_text("torn")
    with (
        pytest.raises(InputUnreadable, match="none of the 7 photos can be read; see the warnings"),
        pytest.warns(UserWarning) if workers == 0 else torch.no_grad(),
    ):
        batches(open_pictures(str(folder), 8), 0, workers)
