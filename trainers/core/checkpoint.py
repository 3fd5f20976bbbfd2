"""Checkpoints as safetensors and JSON: networks, averaged weights, optimisers; each written whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vidinv.errors import UsageError

NAME = "checkpoint"
FORMAT = 2  # of the order of data and random numbers that a checkpoint continues


def exists(folder: Path) -> bool:
    """Whether `folder` holds a training to continue."""
    return _current(folder) is not None


def turns(folder: Path) -> int:
    """How many turns of a training `folder` holds; 0 where there is none."""
    path = _current(folder)
    return 0 if path is None else int(_state(path)["turn"])


def save_checkpoint(
    folder: Path,
    turn: int,
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
    average: dict[str, Tensor],
) -> None:
    """Write `folder/checkpoint` in place of the one before."""
    fresh, old = folder / f"{NAME}.new", folder / f"{NAME}.old"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    weights = {f"{name}.{key}": value for name, net in networks.items() for key, value in net.state_dict().items()}
    tensors, facts = _flatten(optimisers)
    for file, content in (("networks", weights), ("average", average), ("optimisers", tensors)):
        save_file(
            {key: value.detach().cpu().contiguous() for key, value in content.items()}, fresh / f"{file}.safetensors"
        )
    (fresh / "state.json").write_text(
        json.dumps({"format": FORMAT, "turn": turn, "optimisers": facts}) + "\n", encoding="utf-8"
    )
    shutil.rmtree(old, ignore_errors=True)
    if (folder / NAME).exists():
        (folder / NAME).rename(old)
    fresh.rename(folder / NAME)
    shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(
    folder: Path,
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
    average: dict[str, Tensor],
) -> tuple[int, dict[str, Tensor]]:
    """(turns done, averaged weights); networks and optimisers are loaded in place.

    Raises UsageError for a checkpoint of an earlier version.
    """
    path = _current(folder)
    if path is None:
        raise FileNotFoundError(f"no checkpoint in {folder}")
    facts = _state(path)
    weights = load_file(path / "networks.safetensors")
    for name, network in networks.items():
        prefix = f"{name}."
        network.load_state_dict({key[len(prefix) :]: v for key, v in weights.items() if key.startswith(prefix)})
    tensors = load_file(path / "optimisers.safetensors")
    for name, optimiser in optimisers.items():
        optimiser.load_state_dict(_unflatten(name, facts["optimisers"][name], tensors))
    stored = load_file(path / "average.safetensors")
    return facts["turn"], {key: stored[key].to(value) for key, value in average.items()}


def _state(path: Path) -> dict[str, Any]:
    """What a checkpoint says beside its tensors. UsageError where an earlier version wrote it: its data are others."""
    state: dict[str, Any] = json.loads((path / "state.json").read_text(encoding="utf-8"))
    if state.get("format") != FORMAT:
        raise UsageError(
            f"{path} was written by another version of vidinv, which read its data in another order",
            remedy="start a new training in another folder",
        )
    return state


def _current(folder: Path) -> Path | None:
    """The whole checkpoint: the one before, where a kill came between its removal and the new one's arrival."""
    for name in (NAME, f"{NAME}.old"):
        if (folder / name / "state.json").exists():
            return folder / name
    return None


def _flatten(optimisers: Mapping[str, torch.optim.Optimizer]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors of every optimiser's state by name, and the rest as JSON."""
    tensors: dict[str, Tensor] = {}
    facts: dict[str, Any] = {}
    for name, optimiser in optimisers.items():
        state = optimiser.state_dict()
        plain: dict[str, dict[str, Any]] = {}
        for index, entries in state["state"].items():
            for key, value in entries.items():
                if isinstance(value, Tensor):
                    tensors[f"{name}.{index}.{key}"] = value
                else:
                    plain.setdefault(str(index), {})[key] = value
        facts[name] = {"groups": state["param_groups"], "plain": plain}
    return tensors, facts


def _unflatten(name: str, facts: dict[str, Any], tensors: dict[str, Tensor]) -> dict[str, Any]:
    state: dict[int, dict[str, Any]] = {int(index): dict(entries) for index, entries in facts["plain"].items()}
    prefix = f"{name}."
    for key, value in tensors.items():
        if key.startswith(prefix):
            index, entry = key[len(prefix) :].split(".", 1)
            state.setdefault(int(index), {})[entry] = value
    return {"state": state, "param_groups": facts["groups"]}
