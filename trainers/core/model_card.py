"""Write the model card of a trained autoencoder: training data, settings, measured quality and licence."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vidinv import config_loading, fileio
from vidinv.errors import OutputUnwritable
from vidinv.generators.automodulator import Automodulator
from vidinv.generators.base import Generator
from vidinv.trainers.ae_stylegan.config import AeRecipe
from vidinv.trainers.automodulator.config import AutomodulatorRecipe
from vidinv.trainers.core import checkpoint
from vidinv.trainers.data import corpus
from vidinv.trainers.data.image_sources import GENERATOR

HEADING = "# Model card: "  # how each card begins
NAME, RECIPE, WIDTH = "card.md", "recipe.yaml", 120
FILES = ("generator.safetensors", "encoder.safetensors")
Recipe = AeRecipe | AutomodulatorRecipe
LABELS = {
    "mse": "MSE of reconstructions",
    "psnr": "PSNR of reconstructions (dB)",
    "lpips": "LPIPS of reconstructions (VGG16)",
    "frechet_reconstructions": "Frechet distance of reconstructions",
    "frechet_sample_reconstructions": "of reconstructions of samples",
    "frechet_mixtures": "of mixtures (coarse rows of another)",
    "frechet_interpolations": "of interpolations",
    "frechet_samples": "of samples",
    "lpips_diversity": "LPIPS diversity of samples",
    "lpips_diversity_real": "LPIPS diversity of the pictures",
    "ppl_full": "PPL, full",
    "ppl_end": "PPL, end",
}


def check_card(folder: Path) -> None:
    """Raise OutputUnwritable if `folder`/card.md is there and was not written by `write_card`."""
    path = folder / NAME
    with fileio.writing(path):
        if not os.path.lexists(path):
            return
        with fileio.open_regular(path) as file:
            is_ours = file.read(len(HEADING)) == HEADING.encode()
    if not is_ours or path.is_symlink():
        raise OutputUnwritable(f"{path} exists and is no model card of vidinv", remedy="move it away")


def write_card(folder: Path, generator: Generator, figures: Mapping[str, Any], measured_on: str) -> Path:
    """Write `folder`/card.md about the training in `folder`, and return its path.

    It replaces an earlier card. `figures` are the results of `vidinv.jobs.autoencoder.evaluation`, `measured_on` names
    their data.
    """
    path = folder / NAME
    fileio.write_atomically(path, card_text(folder, generator, figures, measured_on))
    return path


def card_text(folder: Path, generator: Generator, figures: Mapping[str, Any], measured_on: str) -> str:
    """Return the card as Markdown; `measured_on` names the data of the figures."""
    is_modulator = isinstance(generator, Automodulator)
    recipe = _recipe(folder, is_modulator)
    origin = corpus.data_origin(recipe.data, GENERATOR)
    what = "A deep automodulator" if is_modulator else "An AE-StyleGAN"
    sizes = " and ".join(f"{(folder / name).stat().st_size / 1e6:.1f}" for name in FILES)
    command = "automodulator" if is_modulator else "ae-stylegan"
    rows = [f"| {label} | {figures[key]:.4g} |" for key, label in LABELS.items() if key in figures]
    parts = [
        f"{HEADING}{recipe.name}",
        f"{what}: a generator of pictures of {generator.resolution} pixels and its encoder, trained together from "
        f"scratch ({' and '.join(FILES)}, {sizes} MB).",
        f"**Training.** `vidinv train {command}`, {images_seen(folder, recipe):,} pictures seen, from {origin.what}. "
        f"`{RECIPE}` has every setting; these differ from the paper: {_changes(recipe)}.",
        f"**Evaluation.** `vidinv evaluate generative` on {figures['n']} {measured_on}. The Frechet distances "
        f"use the features of {figures['features']} and are comparable with each other only.",
        "\n".join(["| figure | value |", "| --- | --- |", *rows]),
        "**Limits.** It works on pictures like its training data, aligned and cropped in the same way. Its quality on "
        "other pictures and across groups of people was not measured.",
        f"**Terms.** {origin.terms}",
    ]
    filled = [part if part.startswith("|") else textwrap.fill(part, WIDTH, break_on_hyphens=False) for part in parts]
    return "\n\n".join(filled) + "\n"


def images_seen(folder: Path, recipe: Recipe) -> int:
    """Return the number of pictures that the training in `folder` has seen."""
    if isinstance(recipe, AeRecipe):
        return checkpoint.turns_done(folder) * recipe.batch
    return sum(checkpoint.turns_done(folder / stage.folder) * stage.batch for stage in recipe.stages)


def _recipe(folder: Path, is_modulator: bool) -> Recipe:
    if is_modulator:
        return config_loading.load_dataclass(AutomodulatorRecipe, "train/automodulator", str(folder / RECIPE))
    return config_loading.load_dataclass(AeRecipe, "train/ae_stylegan", str(folder / RECIPE))


def _changes(recipe: Recipe) -> str:
    """Return the settings that differ from the recipe's defaults."""
    usual = asdict(type(recipe)())
    apart = {key: value for key, value in asdict(recipe).items() if value != usual[key] and key not in ("name", "data")}
    return ", ".join(f"{key}={value}" for key, value in apart.items()) or "none"
