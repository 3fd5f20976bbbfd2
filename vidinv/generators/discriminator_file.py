"""Discriminators that came with an imported generator: what its facts are built as, and which generator has one."""

from __future__ import annotations

from vidinv.generators import generator_file
from vidinv.generators.stylegan2_discriminator import Discriminator
from vidinv.weights import imported, network_file
from vidinv.weights.imported import ImportedFacts

KIND = "discriminator"


def build_discriminator(facts: ImportedFacts) -> Discriminator:
    """An untrained network of these sizes."""
    return Discriminator(**facts.settings)


def known(generator: str) -> ImportedFacts | None:
    """What is said of the discriminator that came in one file with the generator of this name; None without one.

    One that is left of another file, from before the generator was overwritten, is none of it. Raises
    WeightsUnavailable where the JSON of either is damaged.
    """
    if generator not in generator_file.names() or generator not in imported.names(KIND):
        return None
    own, of = imported.facts(KIND, generator), imported.facts(generator_file.KIND, generator)
    return own if own.source_sha256 == of.source_sha256 else None


def load_discriminator(generator: str, device: str = "cpu") -> Discriminator | None:
    """The discriminator that came with the generator of this name, a copy to train; None without one.

    Raises WeightsUnavailable for a damaged one.
    """
    if known(generator) is None:
        return None
    return network_file.read_network(KIND, generator, build_discriminator).requires_grad_(True).train().to(device)
