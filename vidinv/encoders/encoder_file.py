"""Write and read encoder files, which trainings produce and `--encoder FILE` loads.

The file is safetensors with the encoder's state; its metadata hold the family, the latent space and the side of the
feature code.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from vidinv import fileio
from vidinv.encoders import adaptive, automodulator, feature_style, feature_style_light, residual_encoder, stylegan_ae
from vidinv.encoders.base import Encoder
from vidinv.errors import UsageError, WeightsUnavailable
from vidinv.frames import Code
from vidinv.generators.base import Generator
from vidinv.weights import quantized_file

KEY = "encoder"  # of the metadata
SIDES = (16, 32)  # pixels, of a feature code
FAMILIES: dict[str, Callable[[Generator, int], Encoder]] = {
    "light": lambda generator, side: feature_style_light.for_generator(generator),
    "residual": lambda generator, side: residual_encoder.for_generator(generator),
    "published": lambda generator, side: feature_style.for_generator(generator, side),
    "adaptive": lambda generator, side: adaptive.for_generator(generator, feature_side=side),
    "adaptive-light": lambda generator, side: adaptive.for_generator(generator, 128, 32, side),
    "ae-w": lambda generator, side: stylegan_ae.for_generator(generator, tied=True, feature_side=side),
    "ae-w-plus": lambda generator, side: stylegan_ae.for_generator(generator, tied=False, feature_side=side),
    "automodulator": lambda generator, side: automodulator.for_generator(generator, feature_side=side),
    "adaptive-tiny": lambda generator, side: adaptive.for_generator(generator, None, 8, side),
}


def build_encoder(family: str, generator: Generator, feature_side: int) -> Encoder:
    """Build an untrained encoder of a family for a generator; its F replaces the layer of `feature_side` pixels."""
    return FAMILIES[family](generator, feature_side)


@dataclass(frozen=True)
class EncoderFacts:
    """Metadata of an encoder file; without `feature_branch` (the paper's ablation B) the encoder gives w only."""

    family: str
    space: str
    feature_side: int
    feature_branch: bool = True


class GeneratorFeature(Encoder):
    """Wrap an encoder without a feature branch: its F is the generator's own G^K(w), so G(w, F) = G(w).

    If the encoder gives a constant input, F is computed from it, so that G(w, F) reproduces that input's picture.
    """

    def __init__(self, encoder: Encoder, generator: Generator) -> None:
        super().__init__()
        self.encoder = encoder
        self.input_size, self.space, self.at = encoder.input_size, encoder.space, encoder.at
        self._drawer = (
            generator,
        )  # in a tuple it is not registered as a submodule, so its weights are not part of the state

    @property
    def draws_constant(self) -> bool:
        """Return whether F is computed from a constant input of the encoder, and so holds more than w."""
        return isinstance(self.encoder, adaptive.StyleEncoder)

    def __deepcopy__(self, memo: dict[int, Any]) -> GeneratorFeature:
        return GeneratorFeature(deepcopy(self.encoder, memo), *self._drawer)

    def forward(self, image: Tensor, c: Tensor | None = None) -> Code:
        code = self.encoder(image, c)
        return replace(code, feature=self._drawer[0].synthesize(code.ws, canvas=code.const, stop=self.at), at=self.at)


def with_feature(encoder: Encoder, generator: Generator) -> Encoder:
    """Return an encoder that gives w and F; one that gives w only (pSp, e4e) uses the generator's feature as F."""
    return encoder if encoder.gives_feature else GeneratorFeature(encoder, generator)


def write_encoder(path: Path, state: dict[str, Tensor], facts: EncoderFacts) -> Path:
    """Write an encoder's `state` as fp16, atomically. Raises OutputUnwritable."""
    half = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    fileio.write_tensors(path, half, {KEY: json.dumps(asdict(facts))})
    return path


def check_encoder(path: Path, space: str) -> EncoderFacts:
    """Read the metadata of the encoder in `path`.

    Raises UsageError if the file is not an encoder, or belongs to another latent space.
    """
    if not path.exists():
        raise UsageError(f"the encoder {path} does not exist", remedy="check the path")
    try:
        with fileio.open_tensors(path) as file:
            facts = fileio.record_of(EncoderFacts, fileio.parse_json((file.metadata() or {})[KEY]))
    except (SafetensorError, OSError, KeyError, fileio.BadJson) as error:
        raise UsageError(
            f"{path} is not an encoder file",
            remedy="give the encoder.safetensors of vidinv train (--resume on a finished training writes it again)",
        ) from error
    if facts.family not in FAMILIES or facts.feature_side not in SIDES:
        raise UsageError(
            f"{path} is a {facts.family!r} encoder with F at {facts.feature_side}",
            remedy=f"known are {', '.join(FAMILIES)}, with F at {' or '.join(map(str, SIDES))}",
        )
    if facts.space != space:
        raise UsageError(
            f"{path} is an encoder of the space {facts.space!r}, but the generator has the space {space!r}",
            remedy="give an encoder that was trained for this generator",
        )
    return facts


def read_encoder(path: Path, generator: Generator) -> Encoder:
    """Read the encoder in `path`, frozen, in eval mode, on the generator's device. Raises UsageError."""
    facts = check_encoder(path, generator.space)
    encoder = _filled(path, facts, generator).to(generator.w_avg.device).eval().requires_grad_(False)
    return encoder if facts.feature_branch else GeneratorFeature(encoder, generator)


def read_trainable_encoder(path: Path, generator: Generator) -> Encoder:
    """Read the network in `path` on the CPU, trainable, to continue a training. Raises UsageError."""
    return _filled(path, check_encoder(path, generator.space), generator)


def _filled(path: Path, facts: EncoderFacts, generator: Generator) -> Encoder:
    with torch.random.fork_rng():
        encoder = build_encoder(facts.family, generator, facts.feature_side)
    try:
        encoder.load_state_dict(quantized_file.read_state(path))
    except (RuntimeError, WeightsUnavailable) as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise UsageError(
            f"{path} does not hold the tensors of a {facts.family!r} encoder of {generator.name} ({first[0].strip()})",
            remedy="train it again, or use the version of vidinv that wrote it",
        ) from error
    return encoder
