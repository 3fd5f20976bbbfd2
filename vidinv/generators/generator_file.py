"""A generator in a file of its own: safetensors with its state, and beside it a JSON that says what it is.

That is how `vidinv weights import` keeps what a user brought: `registry.load(name)` finds it by the name it was given.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vidinv.errors import WeightsUnavailable
from vidinv.generators import biggan, pggan, stylegan1, stylegan2, stylegan3
from vidinv.generators.base import Generator
from vidinv.weights import places

FOLDER = "imported"  # in the cache
AVERAGE = "latent_avg"  # of families whose published state is without it
FAMILIES: dict[str, Callable[..., Generator]] = {
    "biggan": biggan.BigGAN,
    "pggan": pggan.PGGAN,
    "stylegan1": stylegan1.StyleGAN1,
    "stylegan2": stylegan2.StyleGAN2,
    "stylegan3": stylegan3.StyleGAN3,
}


@dataclass(frozen=True)
class Facts:
    """What the JSON says: the family and what it is built with, and where it came from and under which terms."""

    name: str
    space: str
    architecture: str
    settings: dict[str, Any]
    sizes: dict[str, Any]
    latent_average: str  # "from the file", or how it was estimated
    format: str
    source: str  # name of the file it was imported from
    source_sha256: str
    licence: str
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    sha256: str = ""


def path(name: str) -> Path:
    """Where the imported generator of this name lies, whether it exists or not."""
    return places.converted(f"{FOLDER}/{name}")


def names() -> list[str]:
    """Every imported generator."""
    return sorted(file.stem for file in (places.root() / FOLDER).glob("*.safetensors"))


def build(architecture: str, name: str, space: str, settings: dict[str, Any]) -> Generator:
    """An untrained network of a family. Raises WeightsUnavailable where the settings cannot be."""
    try:
        return FAMILIES[architecture](name, space, **settings)
    except (ValueError, RuntimeError, ArithmeticError) as error:
        raise WeightsUnavailable(f"no {architecture} can have these sizes: {error}") from error


def write(network: Generator, facts: Facts) -> Path:
    """Store a network and its JSON in the cache under its name, each whole or not at all. Raises OutputUnwritable."""
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    if _apart(network):
        state[AVERAGE] = network.w_avg.contiguous()
    target = path(facts.name)
    with places.replacing(target) as draft:
        save_file(state, draft, metadata={"architecture": facts.architecture, "licence": facts.licence})
        digest = hashlib.sha256(draft.read_bytes()).hexdigest()
    with places.replacing(target.with_suffix(".json")) as draft:
        content = json.dumps(asdict(facts) | {"sha256": digest}, indent=2, ensure_ascii=False)
        draft.write_text(content + "\n", encoding="utf-8")
    return target


def facts(name: str) -> Facts:
    """What the JSON of an imported generator says. Raises WeightsUnavailable for a damaged one."""
    try:
        return Facts(**json.loads(path(name).with_suffix(".json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(name) from error


def read(name: str) -> Generator:
    """The imported generator of this name, frozen, in eval mode. Raises WeightsUnavailable for a damaged one."""
    told = facts(name)
    try:
        state = load_file(path(name))
        network = build(told.architecture, told.name, told.space, told.settings)
        if _apart(network):
            network.w_avg.copy_(state.pop(AVERAGE))
        network.load_state_dict(state)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise _damaged(name) from error
    return network.eval().requires_grad_(False)


def _damaged(name: str) -> WeightsUnavailable:
    return WeightsUnavailable(
        f"the imported generator {path(name)} is damaged", remedy="import it again: vidinv weights import FILE"
    )


def _apart(network: Generator) -> bool:
    """Whether the average latent is a buffer that is not part of the state."""
    return "w_avg" in dict(network.named_buffers(recurse=False)) and "w_avg" not in network.state_dict()


def set_average(network: Generator, given: Tensor | None, samples: int = 10_000) -> str:
    """Put the average latent in, or estimate it from seeded samples, and say which."""
    if not _apart(network) or isinstance(network, pggan.PGGAN):
        return "part of the network"
    with torch.no_grad():
        if given is not None:
            network.w_avg.copy_(given)
            return "from the file"
        network.w_avg.copy_(network.sample(samples, seed=0).mean(0))
    return f"estimated from {samples} samples"
