"""Define the kinds of networks that can be imported: how each is built, and its registered names."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from torch import nn

from vidinv.encoders import published
from vidinv.encoders import registry as encoders
from vidinv.faces import fan, parser, recognition
from vidinv.faces import registry as faces
from vidinv.faces.landmarks import LANDMARKS
from vidinv.generators import discriminator_file, generator_file
from vidinv.generators import registry as generators
from vidinv.losses import lpips
from vidinv.weights.imported import ImportedFacts


@dataclass(frozen=True)
class Kind:
    """A kind of network: `build` makes an untrained network of an import's facts; `taken` are registered names."""

    build: Callable[[ImportedFacts], nn.Module]
    taken: Collection[str]


KINDS = {
    generator_file.KIND: Kind(generator_file.build_generator, generators.GENERATORS),
    discriminator_file.KIND: Kind(discriminator_file.build_discriminator, ()),
    published.KIND: Kind(published.build_published, encoders.ENCODERS),
    recognition.KIND: Kind(recognition.build_recognition, faces.IDENTITIES),
    parser.KIND: Kind(parser.build_parser, faces.PARSERS),
    lpips.KIND: Kind(lpips.build_lpips, lpips.REGISTERED),
    fan.KIND: Kind(fan.build_fan, {*faces.FANS, *LANDMARKS}),
}
