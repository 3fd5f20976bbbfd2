"""Fine-tune a generator to pictures whose codes stay as they are ("Near-perfect GAN Inversion").

L = 1_p [L_recon + L_adv_local] + L_global: what G(w, F) lacks of its picture, what a discriminator thinks of it, and
what it thinks of the generator's other samples, for which what is real are samples of the frozen generator. What edits
move is kept by a term of its own. See `near_losses`.
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
from vidinv.trainers.core.early_stopping import Check, SharedPhase, Tuned, stopped_early
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
    room,
    trained_names,
    weights_of,
)
from vidinv.trainers.generator_tuning.losses import Judged
from vidinv.trainers.optim import preconditioned_adam
from vidinv.trainers.optim.preconditioned_adam import GuardedAdam

Optimiser = Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer]


def tune(
    generator: Generator,
    paint: ImageDecoder,
    pivots: PivotFaces,
    perceptual: Distance | None,
    recipe: GeneratorTuningRecipe,
    folder: Path,
    shown: Progress | None = None,
    held: PivotFaces | None = None,
) -> Tuned:
    """The trained weights by name, and how the held-out faces (the pivots, where there are none) saw it come.

    At most `recipe.steps` turns; it ends where `target` is reached, or where those faces gain nothing more. Checkpoints
    lie in `folder`, and an interrupted tuning goes on from there as if it had not been interrupted. Raises UsageError
    for a recipe that cannot be, VidinvError where a loss is not finite.
    """
    recipe.check()
    at = pivots.code.at
    if at is None:
        raise ValueError("a generator is tuned on codes with F")
    own = brought(generator, recipe)
    if own is not None:
        recipe = replace(recipe, side=own.resolution)
    here = room(generator, paint, perceptual, recipe, at)
    layers = Layers(here.tuned, trained_names(generator, recipe, at))
    first = {name: value.detach().clone() for name, value in layers.named().items()}
    networks: dict[str, nn.Module] = {"layers": layers}
    if recipe.has_discriminator:
        networks["discriminator"] = own or started(here, layers.named(), folder / "discriminator")
    ordered = steps_of(here, guarded(here, layers))
    data, whole = PivotData(here, pivots), SharedPhase(shown, recipe.steps * recipe.batch)

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
        return weights_of(loop.train(networks, ordered, data, plan, folder, shown=whole))

    def check(state: dict[str, Tensor], step: int) -> Check:
        return judged(here, held or pivots, state, step)

    try:
        return stopped_early(learn, check, first, recipe.marks, folder, recipe.enough)
    finally:
        whole.close()


def steps_of(here: TuningContext, optimiser: Optimiser) -> list[loop.Step]:
    """The discriminator's step, where there is one, then the generator's by `optimiser`."""
    recipe = here.recipe

    def layers(networks: loop.Networks, batch: TuningBatch, random: StepRandom) -> Judged:
        return tuning_losses.of_generator(here, networks.get("discriminator"), batch, random)

    def opinion(networks: loop.Networks, batch: TuningBatch, random: StepRandom) -> Judged:
        return tuning_losses.of_discriminator(here, networks["discriminator"], batch, random)

    step = loop.Step("layers", ("layers",), optimiser, layers)
    if not recipe.has_discriminator:
        return [step]
    judge = adam(recipe.rate_d, 0.0)
    return [loop.Step("opinion", ("discriminator",), judge, opinion, recipe.cohesion_every), step]


def guarded(here: TuningContext, layers: Layers) -> Optimiser:
    """Adam of the trained layers, through a guard of the generator's other pictures where the recipe has one."""
    recipe = here.recipe
    if not recipe.guard:
        return adam(recipe.rate, 0.9)
    of = preconditioned_adam.guards(here.frozen, layers.named(), recipe.guard, recipe.guarding, recipe.size)
    return lambda parameters: GuardedAdam(parameters, list(of.values()), lr=recipe.rate, betas=(0.9, 0.99))


def adam(rate: float, beta: float) -> Optimiser:
    """Adam as adversarial trainings take it."""
    return lambda parameters: torch.optim.Adam(parameters, lr=rate, betas=(beta, 0.99))


def brought(generator: Generator, recipe: GeneratorTuningRecipe) -> Discriminator | None:
    """The discriminator that was imported with the generator, where there is one and the recipe takes it."""
    if not (recipe.has_discriminator and recipe.brought):
        return None
    return discriminator_file.load_discriminator(generator.name, generator.w_avg.device.type)


def started(here: TuningContext, weights: Mapping[str, nn.Parameter], folder: Path) -> Discriminator:
    """A discriminator that has learned what the frozen generator draws, against the same with disturbed weights."""
    recipe, device = here.recipe, here.tuned.w_avg.device
    torch.manual_seed(recipe.seed)
    network = Discriminator(recipe.side, channel_multiplier=1, channel_max=recipe.widest).to(device)
    if not recipe.started:
        return network
    kept = {name: value.detach().clone() for name, value in weights.items()}

    def loss(networks: loop.Networks, batch: Tensor, random: StepRandom) -> Judged:
        with torch.no_grad():
            real = here.sample(recipe.samples, random, tuned=False)
            for name, value in kept.items():
                drawn = torch.randn(value.shape, generator=random.shared()).to(value)
                weights[name].add_(recipe.disturbed * value.std(correction=0) * drawn)
            fake = here.sample(recipe.samples, random, tuned=True)
            put(weights, kept)
        judge = networks["discriminator"]
        return adversarial.discriminator(judge(real), judge(fake)), {}

    plan = loop.Plan(recipe.started, 1, accelerator=device.type, seed=recipe.seed)
    step = loop.Step("discriminator", ("discriminator",), adam(recipe.rate_d, 0.0), loss)
    loop.train({"discriminator": network}, [step], NoData(), plan, folder, shown=SilentProgress())
    return network


class NoData(KeyedDataset):
    """The data of a training whose loss draws all that it sees."""

    def __getitem__(self, key: SampleKey) -> Tensor:
        return torch.zeros(())


@torch.no_grad()
def judged(here: TuningContext, faces: PivotFaces, state: Mapping[str, Tensor], step: int) -> Check:
    """What squared error and LPIPS say of the faces, drawn through the whole synthesis with the weights `state`."""
    own, recipe = Layers(here.tuned, list(state)).named(), here.recipe
    kept = {name: value.detach().clone() for name, value in own.items()}
    put(own, state)
    errors, losses = [], []
    for k in range(len(faces)):
        made = here.draw(faces.code[k : k + 1], whole=True).clamp(-1, 1)
        wanted = resize(faces.image[k : k + 1], recipe.size)
        errors.append(float(functional.mse_loss(made, wanted)))
        seen = 0.0 if here.perceptual is None else float(here.perceptual(made, wanted).mean())
        losses.append(recipe.pixel * errors[-1] + recipe.perceptual * seen)
    put(own, kept)
    error = max(sum(errors) / len(errors), 1e-12)
    return Check(step, sum(losses) / len(losses), 10 * math.log10(4 / error))  # the peak of [-1,1] is 2


@torch.no_grad()
def put(weights: Mapping[str, nn.Parameter], state: Mapping[str, Tensor]) -> None:
    """Set the weights to those of `state`."""
    for name, value in state.items():
        weights[name].copy_(value)
