"""Write and read checkpoints (safetensors and JSON) of networks, averaged weights and optimisers, atomically."""

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
FORMAT = 2  # changes when the order of data or random numbers of a training changes


def exists(folder: Path) -> bool:
    """Return whether `folder` holds a checkpoint to resume."""
    return _current(folder) is not None


def turns_done(folder: Path) -> int:
    """Return the number of turns done by the training in `folder`; 0 without a checkpoint."""
    path = _current(folder)
    return 0 if path is None else int(_state(path)["turn"])


def save_checkpoint(
    folder: Path,
    turn: int,
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
    average: dict[str, Tensor],
) -> None:
    """Write `folder/checkpoint`, replacing the previous one."""
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
    """Load networks and optimisers in place; returns (turns done, averaged weights).

    Raises FileNotFoundError without a checkpoint, UsageError for one of another version.
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
    """Return the JSON state of a checkpoint. Raises UsageError if another version of vidinv wrote it."""
    state: dict[str, Any] = json.loads((path / "state.json").read_text(encoding="utf-8"))
    if state.get("format") != FORMAT:
        raise UsageError(
            f"{path} was written by another version of vidinv with a different order of training data",
            remedy="start a new training in another folder",
        )
    return state


def _current(folder: Path) -> Path | None:
    """Return the complete checkpoint; after a kill between two renames, that is the previous one."""
    for name in (NAME, f"{NAME}.old"):
        if (folder / name / "state.json").exists():
            return folder / name
    return None


def _flatten(optimisers: Mapping[str, torch.optim.Optimizer]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Split the optimisers' states into named tensors and JSON values."""
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
