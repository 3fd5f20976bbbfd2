"""Fuzz the readers of checkpoints (`vidinv.weights.unpickling`) and what `vidinv weights import` makes of them."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import nn

from scripts.stress import mutations
from tests.fuzz import pickle_programs
from tests.fuzz.harness import folder, mutated, refusals, written
from tests.helpers import checkpoint_layouts, published_stylegan2
from vidinv.errors import UsageError, WeightsUnavailable
from vidinv.importing.import_checkpoint import ImportOptions, import_networks
from vidinv.weights.unpickling.weight_file import read_weight_bytes, read_weight_file

GENERATOR = "stylegan2-tiny"  # of encoders


class Linear(nn.Module):
    """A network that TorchScript can store."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


def saved(held: Any, *, zipped: bool = True) -> bytes:
    """The bytes of a file of torch.save."""
    stream = io.BytesIO()
    torch.save(held, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


def scripted() -> bytes:
    """The bytes of a file of torch.jit.save."""
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(Linear()), stream)
    return stream.getvalue()


@cache
def small() -> list[bytes]:
    """Small files of every kind."""
    base = torch.arange(24.0).view(4, 6)
    state = OrderedDict(a=base, b=base.t(), half=torch.ones(3, dtype=torch.bfloat16), none=torch.zeros(0, 4))
    held = {"state_dict": state, "latent_avg": torch.ones(8, 4), "step": 3, "opts": {"lr": 0.1, "tags": {"x"}}}
    arrays = {"a": np.arange(6.0).reshape(2, 3), "f": np.float32(0.5), "o": np.asfortranarray(np.eye(3, dtype=">i4"))}
    pickles = [pickle.dumps(arrays, protocol) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)]
    return [saved(held), saved(held, zipped=False), scripted(), *pickles]


@cache
def networks() -> list[bytes]:
    """Networks of the published layouts, small ones."""
    with pytest.MonkeyPatch.context() as patched:
        pickled = checkpoint_layouts.pickled_network(checkpoint_layouts.LAYOUTS["ada"](), patched)
    plain = {"g_ema": published_stylegan2.published_state(), "latent_avg": torch.zeros(published_stylegan2.W)}
    return [saved(plain), saved(plain, zipped=False), pickled]


def archive(chance: Random, program: bytes) -> bytes:
    """A zip file as torch writes it, with this pickle and two storages."""
    stream, kind = io.BytesIO(), chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(stream, "w", kind) as made:
        made.writestr("archive/data.pkl", program)
        made.writestr("archive/byteorder", "little")
        made.writestr("archive/data/0", bytes(chance.choice((16, 16, 16, 8, 0, 1 << 20))))
        made.writestr("archive/data/1", bytes(16))
    return stream.getvalue()


def repacked(chance: Random, content: bytes) -> bytes:
    """An archive of torch.save with a damaged pickle and right checksums."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(stream, "w") as made:
        for member in given.infolist():
            inside = given.read(member)
            if member.filename.endswith(".pkl") or chance.random() < 0.02:
                inside = mutations.mutated(inside, chance)
            made.writestr(member.filename, inside)
    return stream.getvalue()


def make(chance: Random) -> bytes:
    """A damaged file, an archive whose pickle is damaged, or a pickle made operation by operation."""
    match chance.randrange(10):
        case 0 | 1:
            return mutated(small(), chance)
        case 2 | 3:
            return repacked(chance, small()[chance.choice((0, 0, 2))])
        case 4:
            return mutated(networks()[1:], chance)
        case 5:
            return repacked(chance, networks()[0])
        case 6 | 7:
            return archive(chance, pickle_programs.program(chance))
    return pickle_programs.program(chance)


def one(data: bytes) -> None:
    """Read `data` as a file and as bytes, touch every tensor in it, and import the networks that it holds."""
    path = written(data, "a.pt")
    with refusals(WeightsUnavailable):
        touch(read_weight_file(path))
    with refusals(WeightsUnavailable):
        read_weight_bytes(data, "a.pt")
    import_file(path)


def import_file(path: Path) -> None:
    """Import a checkpoint into a cache of its own."""
    options = ImportOptions(replace=True, partial=True)
    with patch.dict(os.environ, VIDINV_CACHE=str(folder() / "cache")), refusals(WeightsUnavailable, UsageError):
        import_networks(path, "fuzzed", options, generator=GENERATOR)


def touch(held: Any) -> None:
    """Read every number of every tensor and array, so that one outside its memory crashes here."""
    pending, seen = [held], set()
    while pending:
        here = pending.pop()
        if id(here) in seen:
            continue
        seen.add(id(here))
        if isinstance(here, torch.Tensor):
            here.clone()
        elif isinstance(here, np.ndarray):
            here.copy()
        elif isinstance(here, dict):
            pending.extend(here.values())
        elif isinstance(here, (list, tuple)):
            pending.extend(here)
