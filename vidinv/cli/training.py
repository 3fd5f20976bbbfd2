"""What the commands that train share: a training's folder, and the recipe that is kept in it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from vidinv import config as configs
from vidinv.errors import UsageError

RECIPE = "recipe.yaml"
Recipe = TypeVar("Recipe")


def resolved(
    kind: type[Recipe],
    group: str,
    default: str,
    output: Path | None,
    resume: Path | None,
    config: str | None,
    changes: list[str] | None,
) -> tuple[Path, Recipe]:
    """The folder, and the recipe: of the training to be continued, or a file or one of `group`, changed.

    Raises UsageError unless exactly one of a new folder and one to continue is given, and for what cannot be read.
    """
    folder = resume or output
    if folder is None or (output is not None and resume is not None):
        raise UsageError("a training is new (-o DIR) or continued (--resume DIR)", remedy="give one of the two")
    known = folder / RECIPE if resume is not None and config is None else None
    if known is not None and not known.exists():
        raise UsageError(f"{folder} holds no training", remedy="give -o DIR")
    return folder, configs.resolve(kind, group, str(known or config or default), changes)


def claim(folder: Path, recipe: Any, group: str, *, again: bool) -> None:
    """UsageError where a new training would hide another, or one to be continued has another recipe."""
    record = folder / RECIPE
    if again != record.exists():
        state = "holds no training" if again else "holds a training already"
        raise UsageError(f"{folder} {state}", remedy="give -o DIR" if again else f"give --resume {folder}")
    if again and configs.resolve(type(recipe), group, str(record)) != recipe:
        raise UsageError(f"{folder} was begun with another recipe", remedy=f"repeat its options: see {record}")


def keep(folder: Path, recipe: Any) -> None:
    """Write the recipe into the folder, whole or not at all."""
    from omegaconf import OmegaConf

    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{RECIPE}"
    partial.write_text(OmegaConf.to_yaml(asdict(recipe)), encoding="utf-8")
    partial.replace(folder / RECIPE)
