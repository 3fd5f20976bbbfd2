"""The smallest tunings of an encoder and of a generator, and the generator tuned to its own faces in another light."""

from __future__ import annotations

from pathlib import Path

import torch

from vidinv.backends.tiny import guides
from vidinv.config import TuneConfig
from vidinv.frames import Code
from vidinv.generators import proxy
from vidinv.generators.base import Generator
from vidinv.trainers.core.early_stopping import Tuned
from vidinv.trainers.generator_tuning.config import GeneratorTuningRecipe
from vidinv.trainers.generator_tuning.context import PivotFaces
from vidinv.trainers.generator_tuning.train import tune

TUNING = TuneConfig(steps=24, batch=4, rate=1e-3)


AT, SIZE = 1, 32  # F replaces 8x8 of the tiny generator; its pictures are of 64 and 32 pixels


SMALL = GeneratorTuningRecipe(
    layers=0, size=SIZE, steps=40, rate=5e-3, warmup=4, look=10, target=0.0, levels=3, side=16, widest=8, started=4,
    samples=2, moved_side=16, movement=0.2, movement_every=4, cohesion_every=4, guard=0.0,
)  # fmt: skip


PERCEPTUAL = guides().perceptual


def pivots_of(generator: Generator, count: int = 2) -> PivotFaces:
    """Faces of the generator in another light, of which no code says anything."""
    ws = generator.broadcast(generator.sample(count, seed=9))
    with torch.no_grad():
        feature = generator.synthesize(ws, stop=AT)
        image = generator.synthesize(ws, size=min(generator.sizes))
    light = torch.tensor([0.5, -0.3, 0.2], device=image.device)[:, None, None]
    return PivotFaces((image + light).clamp(-1, 1), Code(ws, feature, AT, space=generator.space))


def tuned(
    generator: Generator, recipe: GeneratorTuningRecipe, folder: Path, count: int = 2, **options: object
) -> Tuned:
    whole = proxy.WholeSynthesis(generator)
    return tune(generator, whole, pivots_of(generator, count), PERCEPTUAL, recipe, folder, **options)  # type: ignore[arg-type]
