"""Fine-tune a generator to pictures whose codes stay as they are ("Near-perfect GAN Inversion").

L = 1_p [L_recon + L_adv_local] + L_global: the reconstruction of the picture by G(w, F), its adversarial loss, and the
adversarial loss of other samples against those of the frozen generator. A further term preserves the effect of edits.
See `trainers/generator_tuning/losses.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidinv.generators import discriminator_file
from vidinv.generators.base import Generator
from vidinv.generators.ops import resize
from vidinv.generators.proxy import ImageDecoder
from vidinv.generators.stylegan2_discriminator import Discriminator
from vidinv.losses import adversarial
from vidinv.losses.reconstruction import Distance
from vidinv.progress import Progress, SilentProgress
from vidinv.trainers.core import loop
from vidinv.trainers.core.early_stopping import Check, SharedPhase, Tuned, train_with_early_stopping
from vidinv.trainers.core.step_random import StepRandom
from vidinv.trainers.data.keyed_dataset import KeyedDataset
from vidinv.trainers.data.step_sampler import SampleKey
from vidinv.trainers.generator_tuning import losses as tuning_losses
from vidinv.trainers.generator_tuning.config import GeneratorTuningRecipe
from vidinv.trainers.generator_tuning.context import (
    Layers,
    PivotData,
    PivotFaces,
    TuningBatch,
    TuningContext,
    trained_names,
    tuning_context,
    weights_of,
)
from vidinv.trainers.generator_tuning.losses import LossResult
from vidinv.trainers.optim import preconditioned_adam
from vidinv.trainers.optim.preconditioned_adam import PreconditionedAdam

Optimiser = Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer]


def tune(
    generator: Generator,
    render: ImageDecoder,
    pivots: PivotFaces,
    perceptual: Distance | None,
    recipe: GeneratorTuningRecipe,
    folder: Path,
    progress: Progress | None = None,
    held: PivotFaces | None = None,
) -> Tuned:
    """Tune for at most `recipe.steps` turns; returns the trained weights by name and their evaluations.

    The faces `held` (by default the pivots) are evaluated; the tuning ends at `target`, or when they stop improving.
    Checkpoints are in `folder`, and an interrupted tuning resumes exactly. Raises UsageError for an invalid recipe,
    ValueError for codes without F, VidinvError if a loss is not finite.
    """
    recipe.check()
    at = pivots.code.at
    if at is None:
        raise ValueError("generator tuning needs codes with F")
    own = imported_discriminator(generator, recipe)
    if own is not None:
        recipe = replace(recipe, side=own.resolution)
    context = tuning_context(generator, render, perceptual, recipe, at)
    layers = Layers(context.tuned, trained_names(generator, recipe, at))
    first = {name: value.detach().clone() for name, value in layers.named().items()}
    networks: dict[str, nn.Module] = {"layers": layers}
    if recipe.has_discriminator:
        networks["discriminator"] = own or pretrained_discriminator(context, layers.named(), folder / "discriminator")
    ordered = build_steps(context, layer_optimiser(context, layers))
    data, whole = PivotData(context, pivots), SharedPhase(progress, recipe.steps * recipe.batch)

    def learn(steps: int) -> dict[str, Tensor]:
        plan = loop.Plan(
            steps * recipe.batch,
            recipe.batch,
            recipe.schedule,
            accelerator=pivots.image.device.type,
            seed=recipe.seed,
            clip=10.0,
            ema=recipe.ema,
            save_every=recipe.look * recipe.batch,
        )
        return weights_of(loop.train(networks, ordered, data, plan, folder, progress=whole))

    def check(state: dict[str, Tensor], step: int) -> Check:
        return evaluate_faces(context, held or pivots, state, step)

    try:
        return train_with_early_stopping(learn, check, first, recipe.marks, folder, recipe.enough)
    finally:
        whole.close()


def build_steps(context: TuningContext, optimiser: Optimiser) -> list[loop.Step]:
    """Return the discriminator's step, if there is one, then the generator's, which uses `optimiser`."""
    recipe = context.recipe

    def layers(networks: loop.Networks, batch: TuningBatch, random: StepRandom) -> LossResult:
        return tuning_losses.generator_loss(context, networks.get("discriminator"), batch, random)

    def discriminator_step(networks: loop.Networks, batch: TuningBatch, random: StepRandom) -> LossResult:
        return tuning_losses.discriminator_loss(context, networks["discriminator"], batch, random)

    step = loop.Step("layers", ("layers",), optimiser, layers)
    if not recipe.has_discriminator:
        return [step]
    discriminator_optimiser = adam(recipe.rate_d, 0.0)
    return [
        loop.Step("opinion", ("discriminator",), discriminator_optimiser, discriminator_step, recipe.cohesion_every),
        step,
    ]


def layer_optimiser(context: TuningContext, layers: Layers) -> Optimiser:
    """Return Adam for the trained layers, preconditioned unless the recipe's `guard` is 0."""
    recipe = context.recipe
    if not recipe.guard:
        return adam(recipe.rate, 0.9)
    of = preconditioned_adam.build_preconditioners(
        context.frozen, layers.named(), recipe.guard, recipe.guarding, recipe.size
    )
    return lambda parameters: PreconditionedAdam(parameters, list(of.values()), lr=recipe.rate, betas=(0.9, 0.99))


def adam(rate: float, beta: float) -> Optimiser:
    """Return Adam with the betas of adversarial trainings."""
    return lambda parameters: torch.optim.Adam(parameters, lr=rate, betas=(beta, 0.99))


def imported_discriminator(generator: Generator, recipe: GeneratorTuningRecipe) -> Discriminator | None:
    """Load the discriminator that was imported with the generator; None without one, or if the recipe has none."""
    if not (recipe.has_discriminator and recipe.brought):
        return None
    return discriminator_file.load_discriminator(generator.name, generator.w_avg.device.type)


def pretrained_discriminator(
    context: TuningContext, weights: Mapping[str, nn.Parameter], folder: Path
) -> Discriminator:
    """Pre-train a discriminator: samples of the frozen generator against those with noise on the trained weights."""
    recipe, device = context.recipe, context.tuned.w_avg.device
    torch.manual_seed(recipe.seed)
    network = Discriminator(recipe.side, channel_multiplier=1, channel_max=recipe.widest).to(device)
    if not recipe.started:
        return network
    kept = {name: value.detach().clone() for name, value in weights.items()}

    def loss(networks: loop.Networks, batch: Tensor, random: StepRandom) -> LossResult:
        with torch.no_grad():
            real = context.sample(recipe.samples, random, tuned=False)
            for name, value in kept.items():
                drawn = torch.randn(value.shape, generator=random.shared()).to(value)
                weights[name].add_(recipe.disturbed * value.std(correction=0) * drawn)
            fake = context.sample(recipe.samples, random, tuned=True)
            set_weights(weights, kept)
        discriminator = networks["discriminator"]
        return adversarial.discriminator(discriminator(real), discriminator(fake)), {}

    plan = loop.Plan(recipe.started, 1, accelerator=device.type, seed=recipe.seed)
    step = loop.Step("discriminator", ("discriminator",), adam(recipe.rate_d, 0.0), loss)
    loop.train({"discriminator": network}, [step], EmptyDataset(), plan, folder, progress=SilentProgress())
    return network


class EmptyDataset(KeyedDataset):
    """Dataset of a training whose loss generates its own data."""

    def __getitem__(self, key: SampleKey) -> Tensor:
        return torch.zeros(())


@torch.no_grad()
def evaluate_faces(context: TuningContext, faces: PivotFaces, state: Mapping[str, Tensor], step: int) -> Check:
    """Evaluate the faces by squared error and LPIPS, rendered by the full synthesis with the weights `state`."""
    own, recipe = Layers(context.tuned, list(state)).named(), context.recipe
    kept = {name: value.detach().clone() for name, value in own.items()}
    set_weights(own, state)
    errors, losses = [], []
    for k in range(len(faces)):
        made = context.draw(faces.code[k : k + 1], whole=True).clamp(-1, 1)
        wanted = resize(faces.image[k : k + 1], recipe.size)
        errors.append(float(functional.mse_loss(made, wanted)))
        seen = 0.0 if context.perceptual is None else float(context.perceptual(made, wanted).mean())
        losses.append(recipe.pixel * errors[-1] + recipe.perceptual * seen)
    set_weights(own, kept)
    error = max(sum(errors) / len(errors), 1e-12)
    return Check(step, sum(losses) / len(losses), 10 * math.log10(4 / error))  # the peak of [-1,1] is 2


@torch.no_grad()
def set_weights(weights: Mapping[str, nn.Parameter], state: Mapping[str, Tensor]) -> None:
    """Copy `state` into the weights."""
    for name, value in state.items():
        weights[name].copy_(value)
