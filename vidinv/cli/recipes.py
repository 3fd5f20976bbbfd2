"""Resolve a training's recipe, store it in the training folder, and read it back for --resume."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from vidinv import config_loading, fileio
from vidinv.errors import OutputUnwritable, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

Recipe = TypeVar("Recipe")
RECIPE = "recipe.yaml"
Output = Annotated[Path | None, typer.Option("-o", "--output", metavar="DIR", help="Folder of a new training.")]
Resume = Annotated[Path | None, typer.Option("--resume", metavar="DIR", help="Folder of a training to resume.")]
Config = Annotated[str | None, typer.Option(metavar="FILE|NAME", help="Recipe. Default: light.")]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Training device.")]
Devices = Annotated[int, typer.Option(help="Processes on this machine, one per GPU.", min=1)]
Nodes = Annotated[int, typer.Option(help="Number of machines; run the same command on each.", min=1)]
Meet = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Address of the coordinating machine.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the resolved plan and stop.")]


def resolve(
    kind: type[Recipe],
    group: str,
    output: Path | None,
    resume: Path | None,
    config: str | None,
    changes: Sequence[str] | None,
    usual: str = "light",
) -> tuple[Path, Recipe]:
    """Return a training's folder and recipe: that of the resumed folder, else `config`, else the `usual` one.

    Raises UsageError unless exactly one of `output` and `resume` is given.
    """
    folder = resume or output
    if folder is None or (output is not None and resume is not None):
        raise UsageError("a training needs -o DIR (new) or --resume DIR", remedy="give one of the two")
    known = folder / RECIPE if resume is not None and config is None else None
    if known is not None and not known.exists():
        raise UsageError(f"{folder} does not contain a training", remedy="give -o DIR to start one")
    return folder, config_loading.load_dataclass(
        kind, group, str(known or config or usual), list(changes or ()) or None
    )


def claim(folder: Path, recipe: Any, group: str, *, again: bool) -> None:
    """Raise UsageError if a new training would overwrite another, or a resumed training has another recipe.

    Raises OutputUnwritable if a new training's folder exists with anything in it, since nothing of it may be replaced.
    """
    record = folder / RECIPE
    if again != record.exists():
        state = "does not contain a training" if again else "already contains a training"
        raise UsageError(f"{folder} {state}", remedy="give -o DIR" if again else f"give --resume {folder}")
    if not again and os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise OutputUnwritable(f"{folder} exists and is not an empty folder", remedy="give -o DIR another name")
    if again and config_loading.load_dataclass(type(recipe), group, str(record)) != recipe:
        raise UsageError(f"{folder} was started with another recipe", remedy=f"use its options: see {record}")


def keep(folder: Path, recipe: Any) -> None:
    """Write the recipe atomically."""
    fileio.write_atomically(folder / RECIPE, text(recipe) + "\n", parents=True)


def keep_evaluation(folder: Path, figures: Any) -> None:
    """Write the figures of a finished training to evaluation.json in its folder."""
    fileio.write_atomically(folder / "evaluation.json", json.dumps(figures, indent=1, ensure_ascii=False) + "\n")


def text(recipe: Any) -> str:
    """Return the recipe as YAML."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(asdict(recipe)).rstrip()
