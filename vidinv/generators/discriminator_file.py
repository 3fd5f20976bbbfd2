"""Build and load the discriminator that was imported with a generator."""

from __future__ import annotations

from vidinv.generators import generator_file
from vidinv.generators.stylegan2_discriminator import Discriminator
from vidinv.weights import imported, network_file
from vidinv.weights.imported import ImportedFacts

KIND = "discriminator"


def build_discriminator(facts: ImportedFacts) -> Discriminator:
    """Build the untrained network of an import's facts."""
    return Discriminator(**facts.settings)


def known(generator: str) -> ImportedFacts | None:
    """Return the facts of the discriminator imported from one file with the generator of this name, or None.

    A discriminator left over from another file, before the generator was overwritten, does not count. Raises
    WeightsUnavailable if the JSON of either is damaged.
    """
    if generator not in generator_file.names() or generator not in imported.names(KIND):
        return None
    own, of = imported.facts(KIND, generator), imported.facts(generator_file.KIND, generator)
    return own if own.source_sha256 == of.source_sha256 else None


def load_discriminator(generator: str, device: str = "cpu") -> Discriminator | None:
    """Load a trainable copy of the discriminator imported with the generator of this name, or None.

    Raises WeightsUnavailable if it is damaged.
    """
    if known(generator) is None:
        return None
    return network_file.read_network(KIND, generator, build_discriminator).requires_grad_(True).train().to(device)
