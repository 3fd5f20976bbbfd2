"""Train a Feature-Style encoder: the paper's system, the published one, and the light encoder's recipe for few cores.

Every turn takes synthetic faces with known codes (half of them from a pool of true images where there is one) and,
where a folder is given, photos; encodes them and asks two inversions to look like them: x1 = G(w) and x2 = G(w, F). A
recipe says which losses do the asking: see `trainers/feature_style/config.py` and `configs/train/feature_style/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from vidinv.encoders import encoder_file
from vidinv.encoders import registry as encoders
from vidinv.encoders.base import Encoder
from vidinv.errors import UsageError
from vidinv.generators import proxy
from vidinv.generators.base import Generator
from vidinv.media.image_grid import image_grid
from vidinv.trainers.core import launch, loop
from vidinv.trainers.core.step_random import StepRandom
from vidinv.trainers.data.face_batches import FaceSource, FaceTrainingBatch, Painter
from vidinv.trainers.data.generated_samples import SamplePool
from vidinv.trainers.data.photos import Photos, open_photos
from vidinv.trainers.data.step_sampler import StepBatchSampler
from vidinv.trainers.feature_style import losses as feature_style_losses
from vidinv.trainers.feature_style.config import FeatureStyleRecipe
from vidinv.trainers.feature_style.losses import RenderNetworks, TensorCodes
from vidinv.trainers.optim.ranger import Ranger


@dataclass(frozen=True)
class FeatureStyleSetup:
    """A training before its first turn: the network, its one step, the plan, and what draws."""

    codes: TensorCodes
    step: loop.Step
    plan: loop.Plan
    drawing: RenderNetworks
    recipe: FeatureStyleRecipe
    photos: Photos | None

    @property
    def networks(self) -> dict[str, nn.Module]:
        return {"encoder": self.codes}


def set_up(
    generator: Generator, recipe: FeatureStyleRecipe, judges: feature_style_losses.Evaluators | None = None
) -> FeatureStyleSetup:
    """The untrained encoder and how it will be trained; what `--dry-run` describes and `train` runs.

    Everything is on the generator's device. `judges` are the recipe's own unless others are given.
    """
    here = launch.place()
    recipe.check(here.count)
    torch.manual_seed(0)
    device = str(generator.w_avg.device.type)
    judges = judges or feature_style_losses.load_judges(recipe, device)
    encoder = begin(generator, recipe).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    at = generator.layer_at(recipe.feature_side)
    drawing = RenderNetworks(generator, painter(generator, recipe.size), at, spread(generator, at))

    def loss(networks: loop.Networks, batch: FaceTrainingBatch, random: StepRandom) -> tuple[Tensor, dict[str, Tensor]]:
        return feature_style_losses.losses(networks["encoder"], drawing, judges, batch, recipe)

    def optimiser(parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        if recipe.optimiser == "ranger":
            return Ranger(parameters, lr=recipe.rate)
        return torch.optim.AdamW(parameters, lr=recipe.rate, betas=(0.9, 0.99), weight_decay=1e-4)

    plan = loop.Plan(
        recipe.images,
        recipe.batch,
        recipe.schedule,
        accelerator=device,
        devices=here.count,
        machines=here.machines,
        clip=recipe.clip,
        ema=recipe.ema,
        save_every=recipe.save_every,
        workers=recipe.workers,
    )
    loop.check_plan({"encoder": encoder}, [], plan)
    photos = open_photos(Path(recipe.photos), recipe.size) if recipe.photos else None
    step = loop.Step("encoder", ("encoder",), optimiser, loss)
    return FeatureStyleSetup(TensorCodes(encoder), step, plan, drawing, recipe, photos)


def begin(generator: Generator, recipe: FeatureStyleRecipe) -> Encoder:
    """The recipe's encoder before the first turn: untrained, or with the weights to start from."""
    if not recipe.start:
        return encoder_file.build_encoder(recipe.encoder, generator, recipe.feature_side)
    check_start(generator.space, recipe)
    if recipe.start == "shipped":
        return encoders.load_encoder("feature-style-light").train().requires_grad_(True)
    return encoder_file.read_trainable_encoder(Path(recipe.start), generator)


def check_start(space: str, recipe: FeatureStyleRecipe) -> None:
    """Raise UsageError where the recipe begins with an encoder's file that is of another kind than its own."""
    if recipe.start in ("", "shipped"):
        return
    known, asked = encoder_file.check_encoder(Path(recipe.start), space), facts(space, recipe)
    if known != asked:
        raise UsageError(
            f"{recipe.start} is of another kind: {known}, the recipe's is {asked}",
            remedy="set encoder, feature_side and feature_branch as they are there",
        )


def facts(space: str, recipe: FeatureStyleRecipe) -> encoder_file.EncoderFacts:
    """What the trained encoder's file will say of it."""
    return encoder_file.EncoderFacts(recipe.encoder, space, recipe.feature_side, recipe.feature_branch)


def painter(generator: Generator, size: int) -> Painter:
    """What draws codes at `size` pixels: the generator where it can, else its proxy head; UsageError if neither."""
    if size not in generator.sizes:
        return proxy.load_proxy(generator, size)

    def paint(ws: Tensor, feature: Tensor | None = None, at: int | None = None) -> Tensor:
        return generator.synthesize(ws, feature=feature, at=at, size=size)

    return paint


@torch.no_grad()
def spread(generator: Generator, at: int) -> Tensor:
    """Standard deviation [1,C,1,1] of the generator's own feature at a layer, over 256 samples."""
    feature = generator.synthesize(generator.broadcast(generator.sample(256, seed=7)), stop=at)
    return feature.std((0, 2, 3), keepdim=True)


def train(setup: FeatureStyleSetup, pool: SamplePool | None, folder: Path) -> Path:
    """Train to the plan's end, continuing what `folder` holds; returns the encoder's file (averaged, fp16).

    Of several processes the first writes it.
    """
    drawing, plan = setup.drawing, setup.plan
    source = FaceSource(drawing.generator, drawing.paint, drawing.at, setup.recipe, pool, setup.photos)

    def samples(networks: loop.Networks) -> Tensor:
        keys = StepBatchSampler(plan.seed, plan.batch, length=source.length).keys(-1)  # no step of the training
        shown = source.finish(keys, source.batch(keys))
        ws, feature = networks["encoder"](shown.seen)
        rows = [shown.seen, drawing.paint(ws)]
        if setup.recipe.feature_branch:
            rows.append(drawing.paint(ws, feature, drawing.at))
        return image_grid(rows)

    average = loop.train(setup.networks, [setup.step], source, plan, folder, samples)
    path = folder / "encoder.safetensors"
    if launch.place().is_first:
        encoder_file.write_encoder(
            path, feature_style_losses.encoder_state(average), facts(drawing.generator.space, setup.recipe)
        )
    return path
