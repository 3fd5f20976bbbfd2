"""Train an adaptive encoder: pre-training on its generator's samples, fine-tuning to real pictures.

One step (paper, eq. 1 and 6): the picture x' = G(E(x)) is compared with x as a whole and at two attentions; a
fine-tuning also compares E(y') with E(y). Generator and evaluators are frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from vidinv.encoders import encoder_file
from vidinv.encoders.base import Encoder
from vidinv.errors import UsageError
from vidinv.generators import proxy
from vidinv.generators.base import Generator
from vidinv.generators.biggan import BigGAN
from vidinv.generators.ops import resize
from vidinv.losses import regions
from vidinv.losses.reconstruction import Distance, image_loss, latent_loss
from vidinv.losses.regions import Attention, Classifier
from vidinv.media.image_grid import image_grid
from vidinv.progress import Progress
from vidinv.trainers.core import loop
from vidinv.trainers.core.step_random import StepRandom
from vidinv.trainers.data.face_batches import RenderFunction
from vidinv.trainers.data.keyed_dataset import KeyedDataset
from vidinv.trainers.data.step_sampler import SampleKey
from vidinv.trainers.data.tensor_batch import TensorBatch
from vidinv.trainers.feature_style import train as feature_style
from vidinv.trainers.gan_encoder.config import GanRecipe

GRIDS = 20  # number of sample grids of a training


@dataclass(frozen=True)
class LatentBatch(TensorBatch):
    """Pictures `image` [N,3,S,S], their latents `ws` [N,L,D] and classes `c` [N,K].

    L = 0 for photos, whose latents are unknown; K = 0 for a generator without classes.
    """

    image: Tensor
    ws: Tensor
    c: Tensor

    def rows(self, places: Sequence[int]) -> LatentBatch:
        """Return the rows at these indices."""
        return LatentBatch(*(value[list(places)] for value in (self.image, self.ws, self.c)))


class TensorLatents(nn.Module):
    """Wrap an encoder to return (ws, constant input): Fabric handles tensors, but not frozen dataclasses.

    An encoder without a constant input returns an empty one, [N,0].
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        code = self.encoder(image, c if c.shape[1] else None)
        return code.ws, code.ws.new_zeros(len(image), 0) if code.const is None else code.const


@dataclass(frozen=True)
class GanEvaluators:
    """Networks that compare pictures: the perceptual distance, and the Grad-CAM classifier for regions=heat."""

    perceptual: Distance
    classifier: Classifier | None = None


@dataclass(frozen=True)
class GanRenderContext:
    """A generator, its render function at the compared size, the evaluators and the recipe."""

    generator: Generator
    render: RenderFunction
    evaluators: GanEvaluators
    recipe: GanRecipe

    def picture(self, ws: Tensor, const: Tensor) -> Tensor:
        """Render w+ [N,L,D] and a constant input [N,C,4,4], or [N,0] for the generator's own, to [N,3,S,S]."""
        if not const.shape[1]:
            return self.render(ws)
        return self.render(ws, self.generator.synthesize(ws, canvas=const, stop=0), 0)

    @cached_property
    def attentions(self) -> list[tuple[Attention, float]]:
        """AT1 and AT2 with their weights, as many as the recipe enables."""
        pair: tuple[Attention, Attention] = (regions.cropped(regions.at1), regions.cropped(regions.at2))
        if self.recipe.regions == "heat":
            assert self.evaluators.classifier is not None
            pair = regions.heat_attentions(self.evaluators.classifier)
        return list(zip(pair, self.recipe.mu, strict=False))


def render_context(recipe: GanRecipe, generator: Generator, evaluators: GanEvaluators) -> GanRenderContext:
    """Build the render context of a recipe; BigGAN gets the batch statistics of its truncation."""
    if isinstance(generator, BigGAN):
        generator.truncation = recipe.truncation
    return GanRenderContext(generator, render_function(generator, recipe.size), evaluators, recipe)


def render_function(generator: Generator, size: int) -> RenderFunction:
    """Return a function that renders codes at `size` pixels: by generator or proxy head, else resized."""
    if size in generator.sizes or (generator.name, size) in proxy.HEADS:
        return feature_style.render_function(generator, size)

    def render(ws: Tensor, feature: Tensor | None = None, at: int | None = None) -> Tensor:
        return resize(generator.synthesize(ws, feature=feature, at=at, size=generator.sizes[0]), size)

    return render


def split_fold(recipe: GanRecipe) -> tuple[list[int], list[int]]:
    """Split the seeds 0 ... samples - 1 by the recipe's fold into (training seeds, held-out seeds)."""
    order = torch.randperm(recipe.samples, generator=torch.Generator().manual_seed(recipe.fold)).tolist()
    return sorted(order[recipe.held_out :]), sorted(order[: recipe.held_out])


@torch.no_grad()
def draw_samples(context: GanRenderContext, seeds: Sequence[int]) -> LatentBatch:
    """Render the generator's samples of these seeds, truncated."""
    generator, psi = context.generator, context.recipe.truncation
    latents = [generator.latents(1, seed=seed) for seed in seeds]
    z = torch.cat([z for z, _ in latents])
    classes = [c for _, c in latents if c is not None]
    c = torch.cat(classes) if classes else z.new_zeros(len(z), 0)
    w = generator.map(z, c if classes else None)
    ws = generator.broadcast(w if isinstance(generator, BigGAN) else generator.truncate(w, psi))
    with torch.autocast(ws.device.type, torch.bfloat16):
        image = context.render(ws)
    return LatentBatch(image.float(), ws, c)


def losses(encoder: nn.Module, context: GanRenderContext, batch: LatentBatch) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of a step (eq. 1; eq. 6 if latents have a weight), and its parts."""
    recipe = context.recipe
    half = torch.autocast(batch.image.device.type, torch.bfloat16)
    with half:
        ws, const = encoder(batch.image, batch.c)
        made = context.picture(ws, const)

    def perceptual(a: Tensor, b: Tensor) -> Tensor:
        with half:
            return context.evaluators.perceptual(a, b).float()

    total, parts = image_loss(
        made.float(), batch.image, perceptual, context.attentions, recipe.weights, pixels=recipe.teaches_pixels
    )
    if recipe.latent:
        parts["latent"] = recipe.latent * _latents_apart(encoder, context, batch, ws, const, made)
        total = total + parts["latent"]
    return total + 0.0 * (ws.sum() + const.sum()), parts  # every parameter has a gradient


def _latents_apart(
    encoder: nn.Module, context: GanRenderContext, batch: LatentBatch, ws: Tensor, const: Tensor, made: Tensor
) -> Tensor:
    """Eq. 5: distance of a sample's codes to its latents, or of a photo's codes to those of its inversion."""
    if batch.ws.shape[1]:
        own = context.generator.constant
        known, constant = batch.ws, const if own is None else own.expand_as(const)
    else:
        with torch.autocast(made.device.type, torch.bfloat16):
            known, constant = encoder(made, batch.c)
    found = latent_loss(ws, known)
    return found + latent_loss(const, constant) if const.shape[1] else found


def photo_batch(context: GanRenderContext, image: Tensor) -> LatentBatch:
    """Return a batch of photos [N,3,S,S] of the recipe's class. Raises UsageError for an unknown class."""
    generator, label = context.generator, context.recipe.label
    if generator.c_dim and not 0 <= label < generator.c_dim:
        raise UsageError(
            f"label={label}, but {generator.name} has the classes 0 to {generator.c_dim - 1}", remedy="set label=N"
        )
    classes = torch.eye(generator.c_dim, device=image.device)[[label] * len(image)] if generator.c_dim else None
    return LatentBatch(
        image,
        image.new_zeros(len(image), 0, generator.w_dim),
        image.new_zeros(len(image), 0) if classes is None else classes,
    )


@dataclass(frozen=True)
class GanEncoderSetup:
    """A training before its first turn."""

    encoder: Encoder
    context: GanRenderContext
    step: loop.Step
    plan: loop.Plan

    @property
    def networks(self) -> dict[str, nn.Module]:
        return {"encoder": TensorLatents(self.encoder)}


def set_up(context: GanRenderContext, encoder: Encoder | None = None) -> GanEncoderSetup:
    """Build the training of an encoder (by default the recipe's), on the generator's device."""
    recipe, generator = context.recipe, context.generator
    recipe.check()
    device = generator.w_avg.device
    torch.manual_seed(0)
    encoder = (encoder or initial_encoder(recipe, generator)).to(device)
    encoder.train(not recipe.photos)  # batch statistics of a few pictures would make it forget all others

    def loss(networks: loop.Networks, batch: LatentBatch, random: StepRandom) -> tuple[Tensor, dict[str, Tensor]]:
        return losses(networks["encoder"], context, batch)

    def optimiser(parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=recipe.rate, betas=(0.0, 0.99))

    plan = loop.Plan(
        recipe.images,
        recipe.batch,
        recipe.schedule,
        accelerator=device.type,
        clip=10.0,
        ema=recipe.ema,
        save_every=recipe.save_every,
        sample_every=max(recipe.images // GRIDS, recipe.batch),
    )
    return GanEncoderSetup(encoder, context, loop.Step("encoder", ("encoder",), optimiser, loss), plan)


def initial_encoder(recipe: GanRecipe, generator: Generator) -> Encoder:
    """Return the recipe's encoder: untrained, or read from the file `start`."""
    if recipe.start:
        return encoder_file.read_trainable_encoder(Path(recipe.start), generator)
    return encoder_file.build_encoder(recipe.encoder, generator, 16)


def pretrain(setup: GanEncoderSetup, folder: Path, progress: Progress | None = None) -> dict[str, Tensor]:
    """Train on the generator's samples, resuming from `folder`; returns the averaged weights of the encoder."""
    context = setup.context
    seeds, held = split_fold(context.recipe)
    grid = _grid(context, lambda: draw_samples(context, (held or seeds)[: context.recipe.batch]))
    data = SeededSamples(context, seeds)
    average = loop.train(setup.networks, [setup.step], data, setup.plan, folder, grid, progress)
    return encoder_state(average)


@dataclass(frozen=True, eq=False)
class SeededSamples(KeyedDataset):
    """The generator's samples of these seeds, rendered on demand."""

    context: GanRenderContext
    seeds: Sequence[int]

    @property
    def length(self) -> int:
        return len(self.seeds)

    def batch(self, keys: Sequence[SampleKey]) -> LatentBatch:
        return draw_samples(self.context, [self.seeds[key.entry] for key in keys])


@dataclass(frozen=True, eq=False)
class GivenFaces(KeyedDataset):
    """Pictures in memory without known latents."""

    faces: LatentBatch

    @property
    def length(self) -> int:
        return len(self.faces.image)

    def batch(self, keys: Sequence[SampleKey]) -> LatentBatch:
        return self.faces.rows([key.entry for key in keys])


def fine_tune(
    setup: GanEncoderSetup, faces: Tensor, folder: Path, progress: Progress | None = None
) -> dict[str, Tensor]:
    """Train on `faces` [N,3,S,S], resuming from `folder`; returns the averaged weights.

    The setup's encoder must be as loaded. Raises ValueError without faces.
    """
    if faces.ndim != 4 or faces.shape[1] != 3 or not len(faces):
        raise ValueError(f"an encoder is tuned to faces [N,3,S,S], got {tuple(faces.shape)}")
    recipe = setup.context.recipe
    photos = photo_batch(setup.context, faces)
    grid = _grid(setup.context, lambda: photos.rows(range(min(recipe.batch, len(faces)))))
    average = loop.train(setup.networks, [setup.step], GivenFaces(photos), setup.plan, folder, grid, progress)
    return encoder_state(average)


def encoder_state(average: dict[str, Tensor]) -> dict[str, Tensor]:
    """Extract the encoder's state from the weights that a training of {"encoder": TensorLatents(encoder)} returns."""
    return {key.removeprefix("encoder.encoder."): value for key, value in average.items()}


def encoder_facts(context: GanRenderContext) -> encoder_file.EncoderFacts:
    """Return the metadata of the trained encoder's file; it has no feature branch."""
    family = context.recipe.encoder
    if context.recipe.start:
        family = encoder_file.check_encoder(Path(context.recipe.start), context.generator.space).family
    return encoder_file.EncoderFacts(family, context.generator.space, 16, feature_branch=False)


def _grid(context: GanRenderContext, some: Callable[[], LatentBatch]) -> loop.Samples:
    """Return the sample grid: a row of pictures above a row of their inversions."""

    def samples(networks: loop.Networks) -> Tensor:
        batch = some().to(context.generator.w_avg.device)
        made = context.picture(*networks["encoder"](batch.image, batch.c))
        return image_grid([batch.image, made])

    return samples
