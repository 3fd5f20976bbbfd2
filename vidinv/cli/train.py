"""`vidinv train`: your own encoders."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidinv import config as configs
from vidinv.errors import UsageError

if TYPE_CHECKING:
    from trainers.feature_style import Recipe

app = typer.Typer(help="Train encoders.", no_args_is_help=True)
RECIPE = "recipe.yaml"


@app.callback()
def _group() -> None:
    """Train your own encoders."""


@app.command("feature-style")
def feature_style(
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="DIR", help="A new training.")] = None,
    resume: Annotated[Path | None, typer.Option("--resume", metavar="DIR", help="Continue one.")] = None,
    config: Annotated[str, typer.Option(metavar="FILE|NAME", help="A recipe.")] = "light",
    changes: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key.")] = None,
    pool: Annotated[Path | None, typer.Option(metavar="DIR", help="True images; drawn into DIR/pool if none.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved plan and stop.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network.")] = False,
    accept_licences: Annotated[bool, typer.Option("--accept-licences", help="Accept the weights' terms.")] = False,
) -> None:
    """Train the light Feature-Style encoder on the default generator's own samples.

    Example: vidinv train feature-style -o my-encoder --set images=100000
    """
    from omegaconf import OmegaConf

    from trainers import engine, samples
    from trainers import feature_style as trainer

    if (output is None) == (resume is None):
        raise UsageError("a training is new (-o DIR) or continued (--resume DIR)", remedy="give one of the two")
    folder = resume or output
    assert folder is not None
    recipe = configs.resolve(trainer.Recipe, "train/feature_style", config, changes)
    if not dry_run:
        claim(folder, recipe, again=resume is not None)
    from stages import parts
    from vidinv.generators import proxy, registry
    from vidinv.weights import cache

    cache.pull(parts.choose("default").needs, offline=offline, accept=accept_licences)
    generator = registry.load("mobile-stylegan-ffhq-1024")
    stand_in = proxy.load(generator, 128)
    setup = trainer.set_up(generator, stand_in, recipe)
    if dry_run:
        typer.echo(OmegaConf.to_yaml(asdict(recipe)).rstrip())
        typer.echo(engine.describe(setup.networks, [setup.step], setup.plan))
        return
    drawn = pool or folder / "pool"
    samples.draw_pool(generator, generator.layer_at(16), drawn, recipe.pool)
    typer.echo(trainer.train(setup, stand_in, samples.load_pool(drawn), folder))


def claim(folder: Path, recipe: Recipe, *, again: bool) -> None:
    """Make the folder of a new training, or check that one to be continued has this recipe."""
    from omegaconf import OmegaConf

    record = folder / RECIPE
    if again != record.exists():
        state = "holds no training" if again else "holds a training already"
        raise UsageError(f"{folder} {state}", remedy="give -o DIR" if again else f"give --resume {folder}")
    if again and OmegaConf.to_container(OmegaConf.load(record)) != asdict(recipe):
        raise UsageError(f"{folder} was begun with another recipe", remedy=f"repeat its options: see {record}")
    folder.mkdir(parents=True, exist_ok=True)
    record.write_text(OmegaConf.to_yaml(asdict(recipe)), encoding="utf-8")
