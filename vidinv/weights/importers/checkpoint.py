"""A checkpoint of a generator: the file, which of the states in it is wanted, and in which published layout that is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vidinv.errors import WeightsUnavailable
from vidinv.weights.importers import formats, restricted
from vidinv.weights.importers.formats import Format

WANTED = ("g_ema", "G_ema", "generator_smooth", "state_dict")  # in a training's checkpoint, the best first
PREFIXES = ("", "module.", "decoder.", "g_ema.")  # before every key
AVERAGES = ("latent_avg", "dlatent_avg", "w_avg")


@dataclass(frozen=True)
class Checkpoint:
    """What was found: tensors under the names of their `format`, which is told by them.

    `prefix` stood before every name. `others` are tensors of the same state that had no such prefix; `average` is the
    average latent [D] where the file has it beside the state. `left` names what else the file holds.
    """

    format: Format
    state: dict[str, Tensor]
    prefix: str
    others: tuple[str, ...]
    average: Tensor | None
    left: tuple[str, ...]


def read(path: Path) -> Checkpoint:
    """The generator in a file: safetensors, a file of torch.save, or a pickle, none of which is run.

    Raises WeightsUnavailable for a file that cannot be read, and for one in no known layout.
    """
    loaded = _safetensors(path) if path.suffix == ".safetensors" else restricted.load(path)
    top = loaded if isinstance(loaded, dict) else {"": loaded}
    for name, state in _states(top):
        for prefix in PREFIXES:
            own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            if found := formats.told(own):
                average = _average(top)
                plain = found.prepared({key: value for key, value in own.items() if key not in AVERAGES})
                average = own.get(found.average or "") if average is None else average
                others = tuple(key for key in state if not key.startswith(prefix) and key not in AVERAGES)
                left = tuple(str(key) for key in top if name and key not in (name, *AVERAGES))
                return Checkpoint(found, plain, prefix, others, average, left)
    known = ", ".join(each.name for each in formats.FORMATS)
    raise WeightsUnavailable(f"{path.name} is in no layout of a generator that is known", remedy=f"known are {known}")


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsUnavailable(f"{path.name} cannot be read as safetensors ({error})") from error


def _states(top: dict[Any, Any]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Every state in it, the wanted ones first: by name, the top itself (""), and all of them as one ("" again)."""
    inner = {str(key): _tensors(value) for key, value in top.items() if not isinstance(value, Tensor)}
    order = [*(name for name in WANTED if name in inner), *(name for name in inner if name not in WANTED)]
    yield from ((name, inner[name]) for name in order if inner[name])
    own = {str(key): value for key, value in top.items() if isinstance(value, Tensor)}
    yield "", own
    together = dict(own)
    for name in inner:
        if name not in AVERAGES:
            together.update(inner[name])
    yield "", together


def _tensors(value: object) -> dict[str, Tensor]:
    if isinstance(value, restricted.Pickled):
        try:
            return value.tensors()
        except (AttributeError, TypeError, RecursionError) as error:
            raise WeightsUnavailable("the file holds an object that is no network", remedy="distrust it") from error
    return {str(k): v for k, v in value.items() if isinstance(v, Tensor)} if isinstance(value, dict) else {}


def _average(top: dict[Any, Any]) -> Tensor | None:
    """The average latent [D] beside the states; one that is repeated for every row of w+ is the rows' mean."""
    for name in AVERAGES:
        value = top.get(name)
        if isinstance(value, dict):
            value = next((each for each in value.values() if isinstance(each, Tensor)), None)
        if isinstance(value, Tensor):
            return value.float().reshape(-1, value.shape[-1]).mean(0)
    return None
