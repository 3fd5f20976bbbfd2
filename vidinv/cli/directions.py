"""`vidinv directions`: what can be edited."""

from __future__ import annotations

from typing import Annotated

import typer

from vidinv.cli import options

app = typer.Typer(help="The directions of the latent space: list.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """The directions of the latent space."""


@app.command("list")
def list_directions(
    json_to: options.JsonTo = None,
    backend: Annotated[str, typer.Option(metavar="NAME", help="Generator and encoder.")] = "default",
) -> None:
    """Show every direction, what strength 1 does, and how it is blended.

    Example: vidinv directions list --json -
    """
    from stages import parts
    from vidinv.editing import directions

    space = parts.choose(backend).space
    found = [directions.load(name, space) for name in directions.names(space)]
    rows = [
        {
            "name": entry.name,
            "space": entry.space,
            "kind": entry.kind,
            "blend": entry.blend,
            "layers": list(entry.layers),
            "calibration": entry.calibration,
            "origin": entry.origin,
            "licence": entry.licence,
        }
        for entry in found
    ]
    if json_to is not None:
        options.write_json(rows, json_to)
        return
    for entry in found:
        effect = ", ".join(f"{value:+.2f} {unit}" for unit, value in entry.calibration.items())
        typer.echo(f"{entry.name:<12} {entry.blend:<9} strength 1: {effect or 'not measured'}")
