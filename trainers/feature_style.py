"""Train a Feature-Style encoder: the paper's system, the published one, and the light encoder's recipe for few cores.

Every turn takes synthetic faces with known codes (half of them from a pool of true images where there is one) and,
where a folder is given, photos; encodes them and asks two inversions to look like them: x1 = G(w) and x2 = G(w, F). A
recipe says which losses do the asking: see `trainers/recipe.py` and `configs/train/feature_style/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from trainers import engine, faces, objective, processes
from trainers.faces import Batch, Painter
from trainers.objective import Drawing, TensorCodes
from trainers.photos import Photos, open_photos
from trainers.ranger import Ranger
from trainers.recipe import Recipe
from trainers.samples import Pool
from vidinv.encoders import encoder_file
from vidinv.encoders import registry as encoders
from vidinv.encoders.base import Encoder
from vidinv.errors import UsageError
from vidinv.generators import proxy
from vidinv.generators.base import Generator


@dataclass(frozen=True)
class Setup:
    """A training before its first turn: the network, its one step, the plan, and what draws."""

    codes: TensorCodes
    step: engine.Step
    plan: engine.Plan
    drawing: Drawing
    recipe: Recipe
    photos: Photos | None

    @property
    def networks(self) -> dict[str, nn.Module]:
        return {"encoder": self.codes}


def set_up(generator: Generator, recipe: Recipe, judges: objective.Judges | None = None) -> Setup:
    """The untrained encoder and how it will be trained; what `--dry-run` describes and `train` runs.

    Everything is on the generator's device. `judges` are the recipe's own unless others are given.
    """
    here = processes.place()
    recipe.check(here.count)
    torch.manual_seed(0)
    device = str(generator.w_avg.device.type)
    judges = judges or objective.load_judges(recipe, device)
    encoder = begin(generator, recipe).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    at = generator.layer_at(recipe.feature_side)
    drawing = Drawing(generator, painter(generator, recipe.size), at, spread(generator, at))

    def loss(networks: engine.Networks, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        return objective.losses(networks["encoder"], drawing, judges, batch, recipe)

    def optimiser(parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        if recipe.optimiser == "ranger":
            return Ranger(parameters, lr=recipe.rate)
        return torch.optim.AdamW(parameters, lr=recipe.rate, betas=(0.9, 0.99), weight_decay=1e-4)

    plan = engine.Plan(
        recipe.images,
        recipe.batch,
        recipe.schedule,
        accelerator=device,
        devices=here.count,
        machines=here.machines,
        clip=recipe.clip,
        ema=recipe.ema,
        save_every=recipe.save_every,
    )
    engine.check({"encoder": encoder}, [], plan)
    photos = open_photos(Path(recipe.photos), recipe.size) if recipe.photos else None
    step = engine.Step("encoder", ("encoder",), optimiser, loss)
    return Setup(TensorCodes(encoder), step, plan, drawing, recipe, photos)


def begin(generator: Generator, recipe: Recipe) -> Encoder:
    """The recipe's encoder before the first turn: untrained, or with the weights to start from."""
    if not recipe.start:
        return encoder_file.build(recipe.encoder, generator, recipe.feature_side)
    check_start(generator.space, recipe)
    if recipe.start == "shipped":
        return encoders.load("feature-style-light").train().requires_grad_(True)
    return encoder_file.trained(Path(recipe.start), generator)


def check_start(space: str, recipe: Recipe) -> None:
    """Raise UsageError where the recipe begins with an encoder's file that is of another kind than its own."""
    if recipe.start in ("", "shipped"):
        return
    known, asked = encoder_file.check(Path(recipe.start), space), facts(space, recipe)
    if known != asked:
        raise UsageError(
            f"{recipe.start} is of another kind: {known}, the recipe's is {asked}",
            remedy="set encoder, feature_side and feature_branch as they are there",
        )


def facts(space: str, recipe: Recipe) -> encoder_file.Facts:
    """What the trained encoder's file will say of it."""
    return encoder_file.Facts(recipe.encoder, space, recipe.feature_side, recipe.feature_branch)


def painter(generator: Generator, size: int) -> Painter:
    """What draws codes at `size` pixels: the generator where it can, else its proxy head; UsageError if neither."""
    if size not in generator.sizes:
        return proxy.load(generator, size)

    def paint(ws: Tensor, feature: Tensor | None = None, at: int | None = None) -> Tensor:
        return generator.synthesize(ws, feature=feature, at=at, size=size)

    return paint


@torch.no_grad()
def spread(generator: Generator, at: int) -> Tensor:
    """Standard deviation [1,C,1,1] of the generator's own feature at a layer, over 256 samples."""
    feature = generator.synthesize(generator.broadcast(generator.sample(256, seed=7)), stop=at)
    return feature.std((0, 2, 3), keepdim=True)


def train(setup: Setup, pool: Pool | None, folder: Path) -> Path:
    """Train to the plan's end, continuing what `folder` holds; returns the encoder's file (averaged, fp16).

    Of several processes the first writes it.
    """
    drawing, batch = setup.drawing, setup.plan.batch
    source = faces.Source(drawing.generator, drawing.paint, drawing.at, setup.recipe, pool, setup.photos)

    def draw_rows(turn: int, rows: slice) -> Batch:
        blocks = range(rows.start // faces.BLOCK, rows.stop // faces.BLOCK)
        per_turn = batch // faces.BLOCK
        return faces.join([source.draw(faces.BLOCK, turn * per_turn + block, max(turn, 0) * batch) for block in blocks])

    def samples(networks: engine.Networks) -> Tensor:
        shown = draw_rows(-1, slice(0, batch))
        ws, feature = networks["encoder"](shown.seen)
        rows = [shown.seen, drawing.paint(ws)]
        if setup.recipe.feature_branch:
            rows.append(drawing.paint(ws, feature, drawing.at))
        return torch.cat(list(torch.cat(rows, 2)), 2)

    average = engine.train(setup.networks, [setup.step], draw_rows, setup.plan, folder, samples)
    path = folder / "encoder.safetensors"
    if processes.place().is_first:
        encoder_file.write(path, objective.encoder_state(average), facts(drawing.generator.space, setup.recipe))
    return path
