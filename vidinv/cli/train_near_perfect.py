"""`vidinv train near-perfect`: fine-tune the generator to pictures, each alone or all together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidinv import extras
from vidinv.cli import json_target, options, recipes
from vidinv.errors import InputUnreadable
from vidinv.terminal import print_line

if TYPE_CHECKING:
    from vidinv.backends.interface import Models
    from vidinv.trainers.core.early_stopping import Tuned
    from vidinv.trainers.generator_tuning.config import GeneratorTuningRecipe
    from vidinv.trainers.generator_tuning.context import PivotFaces

GROUP = "train/generator_tuning"


def near_perfect(
    output: recipes.Output = None,
    resume: recipes.Resume = None,
    config: Annotated[str | None, typer.Option(metavar="FILE|NAME", help="Recipe. Default: full.")] = None,
    changes: options.Changes = None,
    backend: options.Name = "default",
    device: recipes.Device = "auto",
    dry_run: recipes.DryRun = False,
    json_to: options.JsonTo = None,
    offline: options.Offline = False,
    accept_licences: options.AcceptLicences = False,
) -> None:
    """Fine-tune the generator to aligned photos with fixed encoder codes w and F.

    Recipes: full, its ablations no-recon, no-local, no-global and pti-ball, and clip. A file of a few megabytes is
    written for each photo, for `vidinv run --generator FILE`.

    Example: vidinv train near-perfect -o near --set photos=faces/
    """
    extras.require_training()
    from vidinv.backends import registry as backends
    from vidinv.jobs.request import pick_device
    from vidinv.trainers.generator_tuning.config import GeneratorTuningRecipe
    from vidinv.weights import cache

    folder, recipe = recipes.resolve(GeneratorTuningRecipe, GROUP, output, resume, config, changes, usual="full")
    recipe.check()
    if dry_run:
        print_line(recipes.text(recipe))
        return
    chosen = backends.choose_backend(backend)
    cache.need(chosen.needs, offline=offline, accept=accept_licences)
    models = chosen.models(pick_device(device), "")
    groups = _photos(models, recipe)
    recipes.claim(folder, recipe, GROUP, again=resume is not None)
    recipes.keep(folder, recipe)
    made = {name: _tuned(models, pivots, recipe, folder / name) for name, pivots in groups.items()}
    recipes.keep_evaluation(folder, made)
    if json_to is not None:
        json_target.write_json(made, json_to)
    if json_to != "-":
        print_line(f"{'':>16} {'steps':>6} {'mse':>8} {'was':>8}")
        for name, row in made.items():
            print_line(f"{name[:16]:>16} {row['step']:6.0f} {row['mse']:8.4f} {row['mse_before']:8.4f}")


def _photos(models: Models, recipe: GeneratorTuningRecipe) -> dict[str, PivotFaces]:
    """Return the photos with their codes, each alone or all as one. Raises InputUnreadable if there are none."""
    import torch

    from vidinv.frames import concatenate
    from vidinv.trainers.data.photos import open_photos
    from vidinv.trainers.generator_tuning.context import PivotFaces

    if not recipe.photos:
        raise InputUnreadable("no photos given", remedy="give --set photos=FOLDER with aligned pictures")
    photos = open_photos(Path(recipe.photos), models.generator.sizes[0])
    found: dict[str, PivotFaces] = {}
    for place, path in enumerate(photos.files):
        picture = photos.picture(place)
        if picture is not None:
            with torch.no_grad():
                found[path.stem] = PivotFaces(picture.to(models.device), models.encoder(picture.to(models.device)))
    if not found:
        raise InputUnreadable(f"none of the {len(photos.files)} photos can be read", remedy="see the warnings")
    if recipe.each:
        return found
    images = torch.cat([each.image for each in found.values()])
    return {"all": PivotFaces(images, concatenate([each.code for each in found.values()]))}


def _tuned(models: Models, pivots: PivotFaces, recipe: GeneratorTuningRecipe, folder: Path) -> dict[str, float]:
    """Tune, write the generator to the checkpoint folder, and return the figures."""
    from vidinv.generators import delta
    from vidinv.trainers.generator_tuning import train as trainer

    base = models.generator
    recipe = recipe.within(base.sizes[0])
    perceptual = models.backend.guides(models.device).perceptual
    made = trainer.tune(base, models.proxy, pivots, perceptual, recipe, folder)
    facts = delta.DeltaFacts(base.name, base.space, delta.fingerprint(base), recipe=recipe.deciding_settings())
    delta.write_deltas(
        folder / "generator.safetensors", delta.packed({0: delta.between(base, made.state)}, facts, recipe.rank)
    )
    return _reached(made)


def _reached(made: Tuned) -> dict[str, float]:
    """Return the mean squared error in [-1,1] at the recipe's size, before and after."""
    best = made.best
    assert best is not None
    mse, before = (4 / 10 ** (check.psnr / 10) for check in (best, made.curve[0]))
    return {"step": best.step, "mse": round(mse, 6), "mse_before": round(before, 6)}
