"""Imported generators: what a file's facts are built as. `registry.load(name)` finds them by the name they were given.

How they are kept is `vidinv.weights.network_file`'s matter, how they come in `vidinv.importing`'s.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vidinv.generators import biggan, pggan, stylegan1, stylegan2, stylegan3
from vidinv.generators.base import Generator
from vidinv.weights import imported, network_file
from vidinv.weights.imported import Facts

KIND = "generator"
FAMILIES: dict[str, Callable[..., Generator]] = {
    "biggan": biggan.BigGAN,
    "pggan": pggan.PGGAN,
    "stylegan1": stylegan1.StyleGAN1,
    "stylegan2": stylegan2.StyleGAN2,
    "stylegan3": stylegan3.StyleGAN3,
}


def names() -> list[str]:
    """Every imported generator."""
    return imported.names(KIND)


def build(facts: Facts) -> Generator:
    """An untrained network of the family."""
    return FAMILIES[facts.architecture](facts.name, facts.space, **facts.settings)


def set_average(network: Generator, given: Tensor | None, samples: int = 10_000) -> str:
    """Put the average latent in, or estimate it from seeded samples, and say which."""
    average = network_file.average_apart(network)
    if average is None or isinstance(network, pggan.PGGAN):
        return "part of the network"
    with torch.no_grad():
        if given is not None:
            average.copy_(given)
            return "from the file"
        average.copy_(network.sample(samples, seed=0).mean(0))
    return f"estimated from {samples} samples"
