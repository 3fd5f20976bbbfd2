"""Train an adaptive encoder: pre-training on its generator's own samples, fine-tuning to real pictures.

One step (paper, eq. 1 and 6): the picture x' = G(E(x)) is compared with x as a whole and at two attentions; a
fine-tuning also asks that E says of y' what it said of y. Generator and judges are frozen.
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
from vidinv.trainers.data.face_batches import Painter
from vidinv.trainers.data.keyed_dataset import KeyedDataset
from vidinv.trainers.data.step_sampler import SampleKey
from vidinv.trainers.data.tensor_batch import TensorBatch
from vidinv.trainers.feature_style import train as feature_style
from vidinv.trainers.gan_encoder.config import GanRecipe

GRIDS = 20  # sample grids of a training


@dataclass(frozen=True)
class LatentBatch(TensorBatch):
    """Pictures `image` [N,3,S,S], what is known of their latents `ws` [N,L,D], and their classes `c` [N,K].

    Of photos no latent is known (L = 0), of a generator without classes there are none (K = 0).
    """

    image: Tensor
    ws: Tensor
    c: Tensor

    def rows(self, places: Sequence[int]) -> LatentBatch:
        """Some of the rows."""
        return LatentBatch(*(value[list(places)] for value in (self.image, self.ws, self.c)))


class TensorLatents(nn.Module):
    """An encoder that answers (ws, constant input): Fabric passes tensors on, and no frozen dataclass.

    Where there is no constant it is empty, [N,0].
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        code = self.encoder(image, c if c.shape[1] else None)
        return code.ws, code.ws.new_zeros(len(image), 0) if code.const is None else code.const


@dataclass(frozen=True)
class GanEvaluators:
    """What compares pictures: the perceptual distance, and the classifier of Grad-CAM where regions are heat maps."""

    perceptual: Distance
    classifier: Classifier | None = None


@dataclass(frozen=True)
class GanRenderContext:
    """A generator, what paints its codes at the compared size, and the recipe's judges."""

    generator: Generator
    paint: Painter
    judges: GanEvaluators
    recipe: GanRecipe

    def picture(self, ws: Tensor, const: Tensor) -> Tensor:
        """The picture [N,3,S,S] of w+ [N,L,D] and a constant input [N,C,4,4]; an empty one is the generator's own."""
        if not const.shape[1]:
            return self.paint(ws)
        return self.paint(ws, self.generator.synthesize(ws, canvas=const, stop=0), 0)

    @cached_property
    def attentions(self) -> list[tuple[Attention, float]]:
        """AT1 and AT2 with their weights, as many as the recipe asks."""
        pair: tuple[Attention, Attention] = (regions.cropped(regions.at1), regions.cropped(regions.at2))
        if self.recipe.regions == "heat":
            assert self.judges.classifier is not None
            pair = regions.heat_attentions(self.judges.classifier)
        return list(zip(pair, self.recipe.mu, strict=False))


def studio(recipe: GanRecipe, generator: Generator, judges: GanEvaluators) -> GanRenderContext:
    """The studio of a recipe; BigGAN's statistics are those of its truncation."""
    if isinstance(generator, BigGAN):
        generator.truncation = recipe.truncation
    return GanRenderContext(generator, painter(generator, recipe.size), judges, recipe)


def painter(generator: Generator, size: int) -> Painter:
    """What draws codes at `size` pixels: the generator or its proxy head where there is one, else a resized picture."""
    if size in generator.sizes or (generator.name, size) in proxy.HEADS:
        return feature_style.painter(generator, size)

    def paint(ws: Tensor, feature: Tensor | None = None, at: int | None = None) -> Tensor:
        return resize(generator.synthesize(ws, feature=feature, at=at, size=generator.sizes[0]), size)

    return paint


def folds(recipe: GanRecipe) -> tuple[list[int], list[int]]:
    """(seeds to train on, seeds held out) of the recipe's fold, among 0 ... samples - 1."""
    order = torch.randperm(recipe.samples, generator=torch.Generator().manual_seed(recipe.fold)).tolist()
    return sorted(order[recipe.held_out :]), sorted(order[: recipe.held_out])


@torch.no_grad()
def draw(room: GanRenderContext, seeds: Sequence[int]) -> LatentBatch:
    """The generator's own samples of these seeds, truncated."""
    generator, psi = room.generator, room.recipe.truncation
    latents = [generator.latents(1, seed=seed) for seed in seeds]
    z = torch.cat([z for z, _ in latents])
    classes = [c for _, c in latents if c is not None]
    c = torch.cat(classes) if classes else z.new_zeros(len(z), 0)
    w = generator.map(z, c if classes else None)
    ws = generator.broadcast(w if isinstance(generator, BigGAN) else generator.truncate(w, psi))
    with torch.autocast(ws.device.type, torch.bfloat16):
        image = room.paint(ws)
    return LatentBatch(image.float(), ws, c)


def losses(encoder: nn.Module, room: GanRenderContext, batch: LatentBatch) -> tuple[Tensor, dict[str, Tensor]]:
    """What a step minimises (eq. 1, or 6 with a weight of the latents), and its parts."""
    recipe = room.recipe
    half = torch.autocast(batch.image.device.type, torch.bfloat16)
    with half:
        ws, const = encoder(batch.image, batch.c)
        made = room.picture(ws, const)

    def perceptual(a: Tensor, b: Tensor) -> Tensor:
        with half:
            return room.judges.perceptual(a, b).float()

    total, parts = image_loss(
        made.float(), batch.image, perceptual, room.attentions, recipe.weights, pixels=recipe.teaches_pixels
    )
    if recipe.latent:
        parts["latent"] = recipe.latent * _latents_apart(encoder, room, batch, ws, const, made)
        total = total + parts["latent"]
    return total + 0.0 * (ws.sum() + const.sum()), parts  # so that every parameter has a gradient, whatever is off


def _latents_apart(
    encoder: nn.Module, room: GanRenderContext, batch: LatentBatch, ws: Tensor, const: Tensor, made: Tensor
) -> Tensor:
    """Eq. 5: of a sample against what it was made of; of a photo's inversion against what the encoder says of that."""
    if batch.ws.shape[1]:
        own = room.generator.constant
        known, constant = batch.ws, const if own is None else own.expand_as(const)
    else:
        with torch.autocast(made.device.type, torch.bfloat16):
            known, constant = encoder(made, batch.c)
    found = latent_loss(ws, known)
    return found + latent_loss(const, constant) if const.shape[1] else found


def of_photos(room: GanRenderContext, image: Tensor) -> LatentBatch:
    """Photos [N,3,S,S] of the recipe's class, of whose latents nothing is known. UsageError for another class."""
    generator, label = room.generator, room.recipe.label
    if generator.c_dim and not 0 <= label < generator.c_dim:
        raise UsageError(
            f"{generator.name} has the classes 0 to {generator.c_dim - 1}, not {label}", remedy="set label=N"
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
    room: GanRenderContext
    step: loop.Step
    plan: loop.Plan

    @property
    def networks(self) -> dict[str, nn.Module]:
        return {"encoder": TensorLatents(self.encoder)}


def set_up(room: GanRenderContext, encoder: Encoder | None = None) -> GanEncoderSetup:
    """The encoder (the recipe's, unless one is given) and how it will be trained, on the generator's device."""
    recipe, generator = room.recipe, room.generator
    recipe.check()
    device = generator.w_avg.device
    torch.manual_seed(0)
    encoder = (encoder or begin(recipe, generator)).to(device)
    encoder.train(not recipe.photos)  # a few pictures' batch statistics would make it forget every other

    def loss(networks: loop.Networks, batch: LatentBatch, random: StepRandom) -> tuple[Tensor, dict[str, Tensor]]:
        return losses(networks["encoder"], room, batch)

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
    return GanEncoderSetup(encoder, room, loop.Step("encoder", ("encoder",), optimiser, loss), plan)


def begin(recipe: GanRecipe, generator: Generator) -> Encoder:
    """The recipe's encoder: untrained, or from the file that it starts with."""
    if recipe.start:
        return encoder_file.read_trainable_encoder(Path(recipe.start), generator)
    return encoder_file.build_encoder(recipe.encoder, generator, 16)


def pretrain(setup: GanEncoderSetup, folder: Path, shown: Progress | None = None) -> dict[str, Tensor]:
    """Train on the generator's samples, continuing what `folder` holds; the averaged weights of the encoder."""
    room = setup.room
    seeds, held = folds(room.recipe)
    grid = _grid(room, lambda: draw(room, (held or seeds)[: room.recipe.batch]))
    data = SeededSamples(room, seeds)
    average = loop.train(setup.networks, [setup.step], data, setup.plan, folder, grid, shown)
    return encoder_state(average)


@dataclass(frozen=True, eq=False)
class SeededSamples(KeyedDataset):
    """The generator's own samples of these seeds, drawn when they are asked for."""

    room: GanRenderContext
    seeds: Sequence[int]

    @property
    def length(self) -> int:
        return len(self.seeds)

    def batch(self, keys: Sequence[SampleKey]) -> LatentBatch:
        return draw(self.room, [self.seeds[key.entry] for key in keys])


@dataclass(frozen=True, eq=False)
class GivenFaces(KeyedDataset):
    """Pictures that are in memory, without their latents."""

    faces: LatentBatch

    @property
    def length(self) -> int:
        return len(self.faces.image)

    def batch(self, keys: Sequence[SampleKey]) -> LatentBatch:
        return self.faces.rows([key.entry for key in keys])


def fine_tune(setup: GanEncoderSetup, faces: Tensor, folder: Path, shown: Progress | None = None) -> dict[str, Tensor]:
    """Train on `faces` [N,3,S,S], continuing what `folder` holds.

    The setup's encoder is as it was loaded and its optimiser is new. Returns the averaged weights.
    """
    if faces.ndim != 4 or faces.shape[1] != 3 or not len(faces):
        raise ValueError(f"an encoder is tuned to faces [N,3,S,S], got {tuple(faces.shape)}")
    recipe = setup.room.recipe
    photos = of_photos(setup.room, faces)
    grid = _grid(setup.room, lambda: photos.rows(range(min(recipe.batch, len(faces)))))
    average = loop.train(setup.networks, [setup.step], GivenFaces(photos), setup.plan, folder, grid, shown)
    return encoder_state(average)


def encoder_state(average: dict[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's own state out of the weights of {"encoder": TensorLatents(encoder)} as a training returns them."""
    return {key.removeprefix("encoder.encoder."): value for key, value in average.items()}


def facts(room: GanRenderContext) -> encoder_file.EncoderFacts:
    """What the file of an encoder of this recipe says of it: it has no feature branch of its own."""
    family = room.recipe.encoder
    if room.recipe.start:
        family = encoder_file.check_encoder(Path(room.recipe.start), room.generator.space).family
    return encoder_file.EncoderFacts(family, room.generator.space, 16, feature_branch=False)


def _grid(room: GanRenderContext, some: Callable[[], LatentBatch]) -> loop.Samples:
    """A picture of a batch above its inversions."""

    def samples(networks: loop.Networks) -> Tensor:
        batch = some().to(room.generator.w_avg.device)
        made = room.picture(*networks["encoder"](batch.image, batch.c))
        return image_grid([batch.image, made])

    return samples
