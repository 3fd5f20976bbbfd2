"""`vidinv train ae-stylegan` and `automodulator`: train a generator and its encoder from scratch on pictures."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from vidinv import extras
from vidinv.cli import options, recipes
from vidinv.terminal import print_line

if TYPE_CHECKING:
    from vidinv.encoders.base import Encoder
    from vidinv.generators.base import Generator

AE, MODULATOR = "train/ae_stylegan", "train/automodulator"


def ae_stylegan(
    output: recipes.Output = None,
    resume: recipes.Resume = None,
    config: recipes.Config = None,
    changes: options.Changes = None,
    device: recipes.Device = "auto",
    devices: recipes.Devices = 1,
    nodes: recipes.Nodes = 1,
    meet: recipes.Meet = None,
    dry_run: recipes.DryRun = False,
    offline: options.Offline = False,
    accept_licences: options.AcceptLicences = False,
) -> None:
    """Train a StyleGAN2 together with its encoder (AE-StyleGAN), on data=CORPUS.npy, FOLDER, TAR or LMDB.

    Recipes: light, paper, published, tiny; scheme=decoupled and space=w_plus are the paper's other variants. DIR
    receives generator.safetensors and encoder.safetensors for `vidinv backend create`. Several processes share each
    batch, as in feature-style.

    Example: vidinv train ae-stylegan -o runs/ae --set data=corpus.npy --set scheme=decoupled
    """
    extras.require_training()
    from vidinv.jobs.request import pick_device
    from vidinv.losses.lpips import LPIPS
    from vidinv.trainers.ae_stylegan import train as ae_stylegan
    from vidinv.trainers.ae_stylegan.config import AeRecipe
    from vidinv.trainers.core import launch, loop
    from vidinv.trainers.data import image_sources
    from vidinv.weights import cache

    folder, recipe = recipes.resolve(AeRecipe, AE, output, resume, config, changes)
    here, due = launch.process_rank(), launch.needs_launch(devices, nodes) and not dry_run
    recipe.check(devices * nodes if due else here.count)
    if here.is_first and not dry_run:
        recipes.claim(folder, recipe, AE, again=resume is not None)
    perceives = recipe.perceptual > 0
    needs = [*image_sources.required_weights(recipe.data), *([f"lpips/{recipe.network}"] if perceives else [])]
    cache.pull(needs, offline=offline or here.count > 1, accept=accept_licences)
    used = pick_device(device)
    launch.take_device(used, here)
    if due:
        raise typer.Exit(launch.launch(devices, nodes, meet, sys.argv[1:]))
    phi = ae_stylegan.perceptual_features(LPIPS.load(recipe.network).to(used)) if perceives else None
    setup = ae_stylegan.set_up(recipe, phi, used)
    if dry_run:
        print_line(recipes.text(recipe))
        print_line(loop.describe(setup.networks, setup.steps, setup.plan))
        return
    found = image_sources.open_pictures(recipe.data, recipe.size, recipe.held_out)  # before anything is written
    if here.is_first:
        recipes.keep(folder, recipe)
    generator, encoder = ae_stylegan.train(setup, found, folder)
    family = "ae-w" if recipe.space == "w" else "ae-w-plus"
    if here.is_first:
        _write(folder, generator, encoder, "stylegan2", ae_stylegan.generator_settings(recipe), family)


def automodulator(
    output: recipes.Output = None,
    resume: recipes.Resume = None,
    config: recipes.Config = None,
    changes: options.Changes = None,
    device: recipes.Device = "auto",
    devices: recipes.Devices = 1,
    nodes: recipes.Nodes = 1,
    meet: recipes.Meet = None,
    dry_run: recipes.DryRun = False,
    offline: options.Offline = False,
    accept_licences: options.AcceptLicences = False,
) -> None:
    """Train a deep automodulator by progressive growing, on data=CORPUS.npy, FOLDER, TAR or LMDB.

    Recipes: light, paper, published, tiny; layers=0 and distance=l1 reconstruction=1 are the paper's ablations, extra
    and mirror=1 its weak supervision. DIR receives generator.safetensors and encoder.safetensors. Several processes
    share each batch, as in feature-style.

    Example: vidinv train automodulator -o runs/auto --set data=corpus.npy --set layers=0
    """
    extras.require_training()
    from vidinv.jobs.request import pick_device
    from vidinv.trainers.automodulator import train as trainer
    from vidinv.trainers.automodulator.config import AutomodulatorRecipe
    from vidinv.trainers.core import launch, loop
    from vidinv.trainers.data import image_sources
    from vidinv.trainers.data.keyed_dataset import ImageDataset
    from vidinv.weights import cache

    folder, recipe = recipes.resolve(AutomodulatorRecipe, MODULATOR, output, resume, config, changes)
    here, due = launch.process_rank(), launch.needs_launch(devices, nodes) and not dry_run
    recipe.check(devices * nodes if due else here.count)
    used = pick_device(device)
    if dry_run:
        print_line(recipes.text(recipe))
        for stage in recipe.stages:
            setup = trainer.set_up(recipe, stage, None, used)
            print_line(f"{stage.side} pixels: {loop.describe(setup.networks, setup.steps, setup.plan)}")
        return
    if here.is_first:
        recipes.claim(folder, recipe, MODULATOR, again=resume is not None)
    cache.pull(image_sources.required_weights(recipe.data), offline=offline or here.count > 1, accept=accept_licences)
    launch.take_device(used, here)
    if due:
        raise typer.Exit(launch.launch(devices, nodes, meet, sys.argv[1:]))

    @functools.cache
    def at(side: int) -> ImageDataset:
        return image_sources.open_pictures(recipe.data, side, recipe.held_out)

    at(recipe.first)  # raises before anything is written
    if here.is_first:
        recipes.keep(folder, recipe)
    generator, encoder = trainer.train(recipe, at, folder, used)
    if here.is_first:
        _write(
            folder, generator, encoder, "automodulator", trainer.decoder_settings(recipe, recipe.size), "automodulator"
        )


def _write(
    folder: Path,
    generator: Generator,
    encoder: Encoder,
    architecture: str,
    settings: dict[str, int | float],
    family: str,
) -> None:
    """Write both files atomically."""
    from vidinv.encoders import encoder_file
    from vidinv.generators import generator_file

    print_line(generator_file.write_generator(folder / "generator.safetensors", generator, architecture, settings))
    facts = encoder_file.EncoderFacts(family, generator.space, 16, feature_branch=False)
    print_line(encoder_file.write_encoder(folder / "encoder.safetensors", encoder.state_dict(), facts))
