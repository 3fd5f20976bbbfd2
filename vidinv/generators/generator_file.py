"""Build imported generators from their facts, and write, read and adopt the files of trained generators.

`registry.load_generator(name)` loads imports by name; `vidinv.weights.network_file` stores them and `vidinv.importing`
imports them. The file of a training describes its contents; `adopt` makes it an import.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from dataclasses import replace as dataclass_replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from vidinv import fileio
from vidinv.errors import UsageError
from vidinv.generators import automodulator, biggan, pggan, stylegan1, stylegan2, stylegan3
from vidinv.generators.base import Generator
from vidinv.weights import imported, network_file
from vidinv.weights.imported import ImportedFacts

KIND = "generator"
KEY = "generator"  # of the metadata of a training's file
TRAINED = "yours, as far as the terms of its training data allow"
FAMILIES: dict[str, Callable[..., Generator]] = {
    "automodulator": automodulator.Automodulator,
    "biggan": biggan.BigGAN,
    "pggan": pggan.PGGAN,
    "stylegan1": stylegan1.StyleGAN1,
    "stylegan2": stylegan2.StyleGAN2,
    "stylegan3": stylegan3.StyleGAN3,
}


def names() -> list[str]:
    """List every imported generator."""
    return imported.names(KIND)


def build_generator(facts: ImportedFacts) -> Generator:
    """Build the untrained network of an import's facts."""
    return FAMILIES[facts.architecture](facts.name, facts.space, **facts.settings)


def set_average(network: Generator, given: Tensor | None, samples: int = 10_000) -> str:
    """Set the given average latent, or estimate it from seeded samples; return which, as text."""
    average = network_file.separate_average(network)
    if average is None or isinstance(network, pggan.PGGAN):
        return "part of the network"
    with torch.no_grad():
        if given is not None:
            average.copy_(given)
            return "from the file"
        average.copy_(network.sample(samples, seed=0).mean(0))
    return f"estimated from {samples} samples"


@dataclass(frozen=True)
class TrainedGeneratorFacts:
    """Metadata of a trained generator's file: name, latent space, architecture and constructor settings."""

    name: str
    space: str
    architecture: str
    settings: dict[str, Any]


def write_generator(path: Path, network: Generator, architecture: str, settings: dict[str, Any]) -> Path:
    """Write a trained generator atomically. Raises OutputUnwritable."""
    made = TrainedGeneratorFacts(network.name, network.space, architecture, settings)
    state = network.state_dict() | {network_file.AVERAGE: network.w_avg}
    fileio.write_tensors(path, state, {KEY: json.dumps(asdict(made))}, parents=True)
    return path


def read_generator(path: Path, device: str = "cpu") -> Generator:
    """Read the generator in a training's file, frozen, in eval mode. Raises UsageError for another file."""
    made = check_generator(path)
    try:
        network = FAMILIES[made.architecture](made.name, made.space, **made.settings)
        state = fileio.load_tensors(path)
        network.w_avg.copy_(state.pop(network_file.AVERAGE))
        network.load_state_dict(state)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"{path} is damaged ({error})", remedy="write it again with vidinv train ... --resume"
        ) from error
    return network.eval().requires_grad_(False).to(device)


def check_generator(path: Path) -> TrainedGeneratorFacts:
    """Read the metadata of a training's file. Raises UsageError for another file."""
    try:
        with fileio.open_tensors(path) as file:
            return fileio.record_of(TrainedGeneratorFacts, fileio.parse_json((file.metadata() or {})[KEY]))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise UsageError(
            f"{path} is not a trained generator's file", remedy="give the generator.safetensors of vidinv train"
        ) from error


def adopt(path: Path, *, replace: bool = False) -> str:
    """Import a training's generator under its own name, which is returned.

    An identical import is kept. Raises UsageError if another import has the name, unless `replace`.
    """
    made, network = check_generator(path), read_generator(path)
    digest = fileio.sha256(path)
    if made.name in names() and not replace:
        if imported.facts(KIND, made.name).source_sha256 == digest:
            return made.name
        raise UsageError(f"another generator is named {made.name!r}", remedy="train with name=..., or give --overwrite")
    layers = [[spec.name, spec.channels, spec.resolution] for spec in network.layers]
    sizes = {"resolution": network.resolution, "num_ws": network.num_ws, "w_dim": network.w_dim, "layers": layers}
    sizes["parameters"] = sum(parameter.numel() for parameter in network.parameters())
    facts = ImportedFacts(made.name, KIND, made.architecture, made.settings, "vidinv's own", path.name, digest, TRAINED)
    network_file.write_network(
        network, dataclass_replace(facts, space=made.space, sizes=sizes, latent_average="from the file")
    )
    return made.name
