"""Train a Feature-Style encoder: the paper's system, the published one, or the light encoder for few cores.

Every turn takes synthetic faces with known codes (with a pool, half of them from it) and, if a folder is given,
photos. It encodes them and compares two inversions with them: x1 = G(w) and x2 = G(w, F). The recipe sets the weights
of the losses: see `trainers/feature_style/config.py` and `configs/train/feature_style/`.
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
from vidinv.trainers.data.face_batches import FaceSource, FaceTrainingBatch, RenderFunction
from vidinv.trainers.data.generated_samples import SamplePool
from vidinv.trainers.data.photos import Photos, open_photos
from vidinv.trainers.data.step_sampler import StepBatchSampler
from vidinv.trainers.feature_style import losses as feature_style_losses
from vidinv.trainers.feature_style.config import FeatureStyleRecipe
from vidinv.trainers.feature_style.losses import RenderNetworks, TensorCodes
from vidinv.trainers.optim.ranger import Ranger


@dataclass(frozen=True)
class FeatureStyleSetup:
    """A training before its first turn: network, step, plan, renderer, recipe and photos."""

    codes: TensorCodes
    step: loop.Step
    plan: loop.Plan
    renderer: RenderNetworks
    recipe: FeatureStyleRecipe
    photos: Photos | None

    @property
    def networks(self) -> dict[str, nn.Module]:
        return {"encoder": self.codes}


def set_up(
    generator: Generator, recipe: FeatureStyleRecipe, evaluators: feature_style_losses.Evaluators | None = None
) -> FeatureStyleSetup:
    """Build the untrained encoder and its training, which `--dry-run` describes and `train` runs.

    Everything is on the generator's device. `evaluators` are loaded by the recipe unless given.
    """
    here = launch.process_rank()
    recipe.check(here.count)
    torch.manual_seed(0)
    device = str(generator.w_avg.device.type)
    evaluators = evaluators or feature_style_losses.load_evaluators(recipe, device)
    encoder = initial_encoder(generator, recipe).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    at = generator.layer_at(recipe.feature_side)
    renderer = RenderNetworks(generator, render_function(generator, recipe.size), at, feature_deviation(generator, at))

    def loss(networks: loop.Networks, batch: FaceTrainingBatch, random: StepRandom) -> tuple[Tensor, dict[str, Tensor]]:
        return feature_style_losses.losses(networks["encoder"], renderer, evaluators, batch, recipe)

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
    return FeatureStyleSetup(TensorCodes(encoder), step, plan, renderer, recipe, photos)


def initial_encoder(generator: Generator, recipe: FeatureStyleRecipe) -> Encoder:
    """Return the recipe's encoder before the first turn: untrained, or with the weights to start from."""
    if not recipe.start:
        return encoder_file.build_encoder(recipe.encoder, generator, recipe.feature_side)
    check_start(generator.space, recipe)
    if recipe.start == "shipped":
        return encoders.load_encoder("feature-style-light").train().requires_grad_(True)
    return encoder_file.read_trainable_encoder(Path(recipe.start), generator)


def check_start(space: str, recipe: FeatureStyleRecipe) -> None:
    """Raise UsageError if the encoder file to start from differs from the recipe's encoder in its settings."""
    if recipe.start in ("", "shipped"):
        return
    known, wanted = encoder_file.check_encoder(Path(recipe.start), space), encoder_facts(space, recipe)
    if known != wanted:
        raise UsageError(
            f"{recipe.start} has {known}, but the recipe has {wanted}",
            remedy="set encoder, feature_side and feature_branch as in that file",
        )


def encoder_facts(space: str, recipe: FeatureStyleRecipe) -> encoder_file.EncoderFacts:
    """Return the metadata of the trained encoder's file."""
    return encoder_file.EncoderFacts(recipe.encoder, space, recipe.feature_side, recipe.feature_branch)


def render_function(generator: Generator, size: int) -> RenderFunction:
    """Return a function that renders codes at `size` pixels, by the generator if possible, else by its proxy head.

    Raises UsageError if there is neither.
    """
    if size not in generator.sizes:
        return proxy.load_proxy(generator, size)

    def render(ws: Tensor, feature: Tensor | None = None, at: int | None = None) -> Tensor:
        return generator.synthesize(ws, feature=feature, at=at, size=size)

    return render


@torch.no_grad()
def feature_deviation(generator: Generator, at: int) -> Tensor:
    """Return the standard deviation [1,C,1,1] of the generator's own feature at a layer, over 256 samples."""
    feature = generator.synthesize(generator.broadcast(generator.sample(256, seed=7)), stop=at)
    return feature.std((0, 2, 3), keepdim=True)


def train(setup: FeatureStyleSetup, pool: SamplePool | None, folder: Path) -> Path:
    """Train to the plan's end, resuming from `folder`; returns the path of the averaged encoder (fp16).

    Only the first process writes the file.
    """
    renderer, plan = setup.renderer, setup.plan
    source = FaceSource(renderer.generator, renderer.render, renderer.at, setup.recipe, pool, setup.photos)

    def samples(networks: loop.Networks) -> Tensor:
        keys = StepBatchSampler(plan.seed, plan.batch, length=source.length).keys(
            -1
        )  # -1 is not a step of the training
        shown = source.finish(keys, source.batch(keys))
        ws, feature = networks["encoder"](shown.encoder_input)
        rows = [shown.encoder_input, renderer.render(ws)]
        if setup.recipe.feature_branch:
            rows.append(renderer.render(ws, feature, renderer.at))
        return image_grid(rows)

    average = loop.train(setup.networks, [setup.step], source, plan, folder, samples)
    path = folder / "encoder.safetensors"
    if launch.process_rank().is_first:
        encoder_file.write_encoder(
            path, feature_style_losses.encoder_state(average), encoder_facts(renderer.generator.space, setup.recipe)
        )
    return path
