"""`vidinv train`: train encoders and autoencoders, and tune generators."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidinv import extras
from vidinv.cli import options, recipes, train_autoencoder, train_gan, train_near_perfect
from vidinv.errors import UsageError
from vidinv.terminal import print_line

if TYPE_CHECKING:
    from vidinv.trainers.feature_style.config import FeatureStyleRecipe

app = typer.Typer(help="Train encoders and autoencoders, and tune generators.", no_args_is_help=True)
GROUP, POOL = "train/feature_style", "pool"


@app.callback()
def _group() -> None:
    """Train your own encoders and autoencoders."""


app.command("gan-encoder")(train_gan.gan_encoder)
app.command("ae-stylegan")(train_autoencoder.ae_stylegan)
app.command("automodulator")(train_autoencoder.automodulator)
app.command("near-perfect")(train_near_perfect.near_perfect)


@app.command("feature-style")
def feature_style(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Folder of a new training.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="DIR", help="Folder of a training to resume.")
    ] = None,
    config: Annotated[str | None, typer.Option(metavar="FILE|NAME", help="Recipe. Default: light.")] = None,
    changes: options.Changes = None,
    pool: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Existing sample pool for pool=N. Default: generated in DIR/pool."),
    ] = None,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Training device.")] = "auto",
    devices: recipes.Devices = 1,
    nodes: recipes.Nodes = 1,
    meet: recipes.Meet = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved plan and stop.")] = False,
    offline: options.Offline = False,
    accept_licences: options.AcceptLicences = False,
) -> None:
    """Train a Feature-Style encoder on the default generator's samples, and on photos if given.

    Recipes: light (used for the shipped encoder), paper, published; `--set photos=FOLDER` adds aligned faces.
    Several processes share each batch: --devices 2, or torchrun --nproc-per-node 2 -m vidinv train feature-style ...;
    several machines also need a shared DIR.

    Example: vidinv train feature-style -o my-encoder --set images=100000
    """
    extras.require_training()
    from vidinv.trainers.core import checkpoint, launch, loop
    from vidinv.trainers.data import generated_samples
    from vidinv.trainers.feature_style import train as trainer
    from vidinv.trainers.feature_style.config import FeatureStyleRecipe

    if pool is not None and resume is not None:
        raise UsageError("a resumed training keeps its sample pool", remedy="remove --pool")
    folder, recipe = recipes.resolve(FeatureStyleRecipe, GROUP, output, resume, config, changes)
    if recipe.start not in ("", "shipped"):
        recipe = replace(recipe, start=str(Path(recipe.start).absolute()))
    here, due = launch.process_rank(), launch.needs_launch(devices, nodes) and not dry_run
    recipe.check(devices * nodes if due else here.count)
    if here.is_first and not dry_run:
        recipes.claim(folder, recipe, GROUP, again=resume is not None)
    takes_pool = recipe.pool > 0 and recipe.synthetic
    if pool is not None and not takes_pool:
        raise UsageError("--pool is given, but the recipe uses no pool", remedy="give its size: --set pool=N")
    from vidinv.backends import registry as backends
    from vidinv.generators import registry
    from vidinv.jobs.request import pick_device
    from vidinv.weights import cache

    used = pick_device(device)
    launch.take_device(used, here)
    has_checkpoint = resume is not None and checkpoint.exists(folder)  # then the checkpoint contains every weight
    if not has_checkpoint:
        trainer.check_start(backends.SPACE, recipe)
    alone = here.count == 1  # several processes would fetch the same files and ask the same question
    cache.pull(backends.choose_backend("default").needs, offline=offline or not alone, accept=accept_licences)
    if due:
        raise typer.Exit(launch.launch(devices, nodes, meet, sys.argv[1:]))
    generator = registry.load_generator("mobile-stylegan-ffhq-1024", used)
    setup = trainer.set_up(generator, replace(recipe, start="") if has_checkpoint else recipe)
    if dry_run:
        if here.is_first:
            print_line(recipes.text(recipe))
            print_line(loop.describe(setup.networks, [setup.step], setup.plan))
        return
    source, side = pool or folder / POOL, min(recipe.size, generator.sizes[0])
    if takes_pool and not alone:
        generated_samples.check_drawn(source, generator, setup.renderer.at, recipe.pool, side)
    if here.is_first:
        write_recipe(folder, recipe, pool)
    drawn = None
    if takes_pool:
        if alone:
            generated_samples.draw_pool(generator, setup.renderer.at, source, recipe.pool, side)
        drawn = generated_samples.load_pool(source)
    made = trainer.train(setup, drawn, folder)
    if not here.is_first:
        return
    print_line(made)
    if setup.photos is not None and setup.photos.bad:
        print_line(f"{len(setup.photos.bad)} of {len(setup.photos.files)} photos were skipped", error=True)


def write_recipe(folder: Path, recipe: FeatureStyleRecipe, pool: Path | None) -> None:
    """Write the recipe and a link to the given pool, so that --resume finds both."""
    recipes.keep(folder, recipe)
    if pool is not None:
        pool.mkdir(parents=True, exist_ok=True)
        (folder / POOL).symlink_to(pool.absolute(), target_is_directory=True)
