"""`vidinv invert`: the codes of a face, or of every face of a video, without an edit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidinv.cli import progress
from vidinv.cli.run import perform, resolve, write_json


def invert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A picture or a video.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The codes (.safetensors).")],
    render: Annotated[
        Path | None,
        typer.Option("--render", metavar="FILE", help="Source, G(w) and G(w, F): .png for a few faces, .mp4 for all."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace codes that exist.")] = False,
    faces: Annotated[str | None, typer.Option(metavar="all|largest|N|REF.jpg", help="Which faces.")] = None,
    quality: Annotated[str | None, typer.Option(metavar="fast|balanced|best", help="Preset.")] = None,
    backend: Annotated[str | None, typer.Option(metavar="NAME", help="Generator and encoder.")] = None,
    device: Annotated[str | None, typer.Option(metavar="auto|cpu|cuda", help="Where the models run.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network.")] = False,
    accept_licences: Annotated[bool, typer.Option("--accept-licences", help="Accept the weights' terms.")] = False,
    show: Annotated[str | None, typer.Option("--progress", metavar="bar|json|none")] = None,
    config: Annotated[str | None, typer.Option(metavar="FILE|NAME", help="Configuration, or a preset's name.")] = None,
    changes: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key.")] = None,
    json_to: Annotated[str | None, typer.Option("--json", metavar="FILE", help="Also write the report there.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Invert the faces of a picture or a video: w+ and F of each, for `vidinv run --codes` and for your own code.

    Example: vidinv invert talk.mp4 -o talk.codes.safetensors --render inversion.png
    """
    from stages import drawn
    from stages.request import Request, pick_device

    asked = {"faces": faces, "device": device, "backend": backend}
    resolved = resolve(quality, config, asked, changes or [], [])
    drawn.check(render, source, output, overwrite)
    request = Request(source, output, resolved, overwrite=overwrite, codes=output, only_codes=True)
    report = perform(request, show, offline=offline, accept=accept_licences)
    if render is not None:
        with progress.show(show) as shown:
            shown.phase("draw", drawn.count(output, render))
            drawn.write(source, output, render, pick_device(resolved.device), shown.done)
    if json_to is not None:
        write_json(report, json_to)
