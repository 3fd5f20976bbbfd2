"""Read a published checkpoint file and identify the networks in it by their layouts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from vidinv import fileio
from vidinv.errors import WeightsUnavailable
from vidinv.weights.importers import formats
from vidinv.weights.importers.formats.base import Format
from vidinv.weights.unpickling.machine import Refused
from vidinv.weights.unpickling.tensors import OddTensor, Pickled
from vidinv.weights.unpickling.torch_archive import Scripted
from vidinv.weights.unpickling.weight_file import named_tensors, read_weight_file, unreadable

WANTED = (
    "g_ema",
    "G_ema",
    "generator_smooth",
    "state_dict",
)  # keys of a training checkpoint's state, in order of preference
PREFIXES = ("", "module.", "decoder.", "encoder.", "g_ema.", "fs_backbone.")  # prefixes of a network's keys
DISCRIMINATORS = ("d", "D")  # keys of the discriminator in a training checkpoint
AVERAGES = ("latent_avg", "dlatent_avg", "w_avg")


@dataclass(frozen=True)
class Checkpoint:
    """One network of a file: tensors under the names of its `format`, which their names identify.

    `prefix` was removed from every name. `average` is the average latent [D], or None if the file lacks it.
    """

    format: Format
    state: dict[str, Tensor]
    prefix: str
    average: Tensor | None


@dataclass(frozen=True)
class CheckpointNetworks:
    """The networks of a file, generators first.

    `others` are tensors of the same state that belong to none of them; `beside` is the rest of the file, which may
    hold the generator's `discriminator`.
    """

    networks: tuple[Checkpoint, ...]
    others: tuple[str, ...]
    beside: Mapping[str, Any]
    discriminator: Checkpoint | None = None


def read_checkpoint(path: Path, trunk: Path | None = None) -> CheckpointNetworks:
    """Read the networks in a safetensors, torch.save, torch.jit.save or pickle file without running code in it.

    `trunk`: a second file, whose tensors are added to those of the first. Raises WeightsUnavailable for a file that
    cannot be read or has no known layout.
    """
    try:
        return _networks_of(path, trunk)
    except Refused as refusal:
        raise unreadable(path.name, b"", refusal) from refusal


def _networks_of(path: Path, trunk: Path | None) -> CheckpointNetworks:
    top = _loaded(path)
    if trunk is not None:
        top = {"": dict(_all(top)) | dict(_all(_loaded(trunk)))}
    for name, state in _states(top):
        if networks := _networks(state, top):
            prefixes = tuple(each.prefix for each in networks)
            others = tuple(key for key in state if not key.startswith(prefixes) and key not in AVERAGES)
            beside = {str(key): top[key] for key in top if name and key not in (name, *AVERAGES)}
            judge = _discriminator(beside) if networks[0].format.kind == "generator" else None
            return CheckpointNetworks(networks, others, beside, judge)
    known = ", ".join(each.name for each in formats.FORMATS)
    raise WeightsUnavailable(f"{path.name} has no known layout", remedy=f"supported layouts: {known}")


def _networks(state: dict[str, Any], top: dict[Any, Any]) -> tuple[Checkpoint, ...]:
    """Find every network in a state: the whole state, or the keys under each prefix."""
    found = []
    for prefix in PREFIXES:
        own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if of := formats.identify_format(own):
            check_plain(own, prefix)
            average = _average(top)
            average = own.get(of.average or "") if average is None else average
            plain = of.prepared({key: value for key, value in own.items() if key not in AVERAGES})
            found.append(Checkpoint(of, plain, prefix, average))
            if not prefix:
                break
    return tuple(sorted(found, key=lambda each: each.format.kind != "generator"))


def _discriminator(beside: Mapping[str, Any]) -> Checkpoint | None:
    """Return the discriminator if its layout is known, without checking its sizes; else None."""
    for name in DISCRIMINATORS:
        state = _tensors(beside.get(name))
        if of := formats.identify_format(state, formats.COMPANION_FORMATS):
            return Checkpoint(of, of.prepared(state), f"{name}.", None)
    return None


def check_plain(state: Mapping[str, Any], prefix: str) -> None:
    """Raise WeightsUnavailable, naming the key, for a tensor that is sparse, quantised or complex."""
    for key, value in state.items():
        if isinstance(value, OddTensor):
            raise WeightsUnavailable(f"{prefix}{key} is a tensor of {value.kind}", remedy="save plain real numbers")
        if not _is_plain(value):
            kind = f"{str(value.layout).removeprefix('torch.')} {str(value.dtype).removeprefix('torch.')}"
            raise WeightsUnavailable(f"{prefix}{key} is a tensor of {kind}", remedy="save plain real numbers")


def _is_plain(value: Tensor) -> bool:
    return value.layout == torch.strided and not value.is_quantized and not value.is_complex()


def _loaded(path: Path) -> dict[Any, Any]:
    if path.suffix == ".safetensors":
        return dict(_safetensors(path))
    held = read_weight_file(path)
    if isinstance(held, Scripted):
        return {"": named_tensors(held)}
    return held if isinstance(held, dict) and not isinstance(held, Pickled) else {"": held}


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return fileio.load_tensors(path)
    except (SafetensorError, OSError) as error:
        raise WeightsUnavailable(f"{path.name} cannot be read as safetensors ({error})") from error


def _states(top: dict[Any, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every state with its name: preferred names first, the top level (""), then all merged (also "")."""
    inner = {str(key): _tensors(value) for key, value in top.items() if not isinstance(value, Tensor)}
    order = [*(name for name in WANTED if name in inner), *(name for name in inner if name not in WANTED)]
    yield from ((name, inner[name]) for name in order if inner[name])
    yield "", {str(key): value for key, value in top.items() if isinstance(value, (Tensor, OddTensor))}
    yield "", _all(top)


def _all(top: dict[Any, Any]) -> dict[str, Tensor]:
    """Return the tensors of the top level and of every state in it, except average latents."""
    together = {str(key): value for key, value in top.items() if isinstance(value, Tensor)}
    for key, value in top.items():
        if key not in AVERAGES:
            together.update(_tensors(value))
    return together


def _tensors(value: object) -> dict[str, Any]:
    """The tensors of a state by name, those that cannot be used (`OddTensor`) among them."""
    if isinstance(value, Pickled):
        return named_tensors(value)
    entries = value.items() if isinstance(value, dict) else ()
    return {str(key): each for key, each in entries if isinstance(each, (Tensor, OddTensor))}


def _average(top: dict[Any, Any]) -> Tensor | None:
    """Return the average latent [D] stored with the states; one with a row per row of w+ is averaged over the rows."""
    for name in AVERAGES:
        value = top.get(name)
        if isinstance(value, dict):
            value = next((each for each in value.values() if isinstance(each, Tensor)), None)
        if isinstance(value, Tensor):
            check_plain({name: value}, "")
            return value.float().reshape(-1, value.shape[-1]).mean(0) if value.numel() and value.ndim else value
    return None
