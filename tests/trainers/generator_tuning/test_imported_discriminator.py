"""A near-perfect tuning whose generator was imported with its discriminator: it begins with that one, not a new one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.helpers.discriminator_files import checkpoint, judge
from tests.helpers.near_perfect import SHORT, two_photos
from tests.helpers.tuning_recipes import SMALL, tuned
from vidinv.cli.main import main
from vidinv.generators import registry
from vidinv.importing.import_checkpoint import import_networks
from vidinv.trainers.core import loop
from vidinv.weights import imported

BRIEF = replace(SMALL, steps=8, look=8, samples=1)  # whose own discriminator would see 16 pixels, not 32
WARM_UP, TUNING = {"discriminator"}, {"layers", "discriminator"}
Trained = list[tuple[set[str], dict[str, Tensor], loop.Networks]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDINV_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    return two_photos(tmp_path / "faces")


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trained:
    """Of each training: its networks' names, the discriminator's state when it began, and the networks."""
    found: Trained = []
    real: Callable[..., dict[str, Tensor]] = loop.train

    def watched(networks: loop.Networks, *arguments: object, **options: object) -> dict[str, Tensor]:
        state = {key: value.clone() for key, value in networks["discriminator"].state_dict().items()}
        found.append((set(networks), state, networks))
        return real(networks, *arguments, **options)

    monkeypatch.setattr(loop, "train", watched)
    return found


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], value) for key, value in other.items())


def test_it_begins_with_the_imported_weights_and_trains_a_copy(tmp_path: Path, trainings: Trained) -> None:
    import_networks(checkpoint(tmp_path / "own.pt"))
    path = imported.path("discriminator", "own")
    before = path.read_bytes()
    tuned(registry.load_generator("own"), BRIEF, tmp_path / "near", count=1)
    ((names, state, networks),) = trainings
    assert names == TUNING and same(state, judge().state_dict())
    assert not same(networks["discriminator"].state_dict(), state) and path.read_bytes() == before


def test_a_recipe_declines_it_and_a_file_without_one_has_none(tmp_path: Path, trainings: Trained) -> None:
    import_networks(checkpoint(tmp_path / "own.pt"))
    import_networks(checkpoint(tmp_path / "bare.pt", lambda held: held.pop("d")))
    tuned(registry.load_generator("own"), replace(BRIEF, brought=False), tmp_path / "declined", count=1)
    tuned(registry.load_generator("bare"), BRIEF, tmp_path / "none", count=1)
    assert [names for names, _, _ in trainings] == [WARM_UP, TUNING, WARM_UP, TUNING]
    assert not any(same(state, judge().state_dict()) for _, state, _ in trainings)


def test_the_command_takes_it_of_a_backend_of_ones_own(tmp_path: Path, faces: Path, trainings: Trained) -> None:
    import_networks(checkpoint(tmp_path / "own.pt"))
    made = ["--generator", "own", "--alignment", "center", "--guides", "pixels"]
    assert main(["backend", "create", "mine", *made]) == 0
    command = ["train", "near-perfect", "-o", str(tmp_path / "near"), "--backend", "mine", "--device", "cpu", *SHORT]
    assert main([*command, "--set", f"photos={faces}"]) == 0
    assert len(trainings) >= 2 and all(names == TUNING for names, _, _ in trainings)  # every photo begins anew
    beginnings = [state for _, state, networks in trainings if same(state, judge().state_dict())]
    assert len(beginnings) == 2
