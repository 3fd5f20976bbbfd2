"""`vidinv invert`: invert the faces of a picture or a video and write their codes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidinv.cli import folders, json_target, options, progress
from vidinv.cli.run import resolve, run_request


@options.grouped
def invert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A picture or a video.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The codes (.safetensors).")],
    render: Annotated[
        Path | None,
        typer.Option("--render", metavar="FILE", help="Source, G(w) and G(w, F): .png for a few faces, .mp4 for all."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing codes.")] = False,
    *,
    common: options.Job,
) -> None:
    """Invert the faces of a picture or a video: w+ and F of each, for `vidinv run --codes` and for your own code.

    Example: vidinv invert talk.mp4 -o talk.codes.safetensors --render inversion.png
    """
    from vidinv.backends import registry as backends
    from vidinv.jobs import render_codes
    from vidinv.jobs.request import Request

    resolved = resolve(common)
    source = folders.with_name(source)
    render_codes.check_render(render, source, output, overwrite)
    request = Request(source, output, resolved, overwrite=overwrite, codes=output, only_codes=True)
    backend = backends.choose_backend(resolved.backend)
    report = run_request(
        request, common.show, quiet=common.quiet, offline=common.offline, accept=common.accept_licences, backend=backend
    )
    if render is not None:
        stored = render_codes.open_stored(source, output)
        with progress.show(common.show, quiet=common.quiet) as shown:
            shown.phase("draw", render_codes.face_count(stored, render))
            render_codes.write_render(source, stored, render, backend, resolved, shown.advance, overwrite=overwrite)
        shown.say(f"made {render}")
    if common.json_to is not None:
        json_target.write_json(report, common.json_to)
