"""`vidinv demo`: make and edit a synthetic clip, without a video of a real person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidinv import config as configs
from vidinv import fileio
from vidinv.cli import options, progress
from vidinv.cli.run import run_request


def demo(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Folder for the two clips.")] = Path("."),
    edit: Annotated[list[str] | None, typer.Option("--edit", metavar="E", help="Default: age+2.")] = None,
    seconds: Annotated[float, typer.Option(help="Length of the clip.", min=0.2, max=60)] = 2.0,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic person.")] = 3,
    quality: Annotated[str, typer.Option(metavar="fast|balanced|best", help="Preset.")] = "fast",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing clips.")] = False,
    only_clip: Annotated[bool, typer.Option("--only-clip", help="Make the clip without editing it.")] = False,
    offline: options.Offline = False,
    accept_licences: options.AcceptLicences = False,
    show: options.Show = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Make a short talking-head clip of a synthetic person, with sound, and edit it.

    Example: vidinv demo out/ --edit smile+1
    """
    from vidinv.backends.registry import choose_backend
    from vidinv.generators import registry
    from vidinv.jobs import demo as clips
    from vidinv.jobs.check import resolve_edits
    from vidinv.jobs.request import Request
    from vidinv.weights import cache

    config = configs.with_edits(configs.load_run_config(quality), edit or ["age+2"])
    backend = choose_backend(config.backend)
    resolve_edits(config.edits, backend)  # a wrong edit is refused before the clip is made
    source, output = folder / "synthetic.mp4", folder / "synthetic.edited.mp4"
    request = Request(source, output, config, overwrite=overwrite)
    remedy = "give --overwrite or another folder"
    for path in (source, *(() if only_clip else request.files().paths())):
        fileio.check_free(path, overwrite=overwrite, remedy=remedy)
    with fileio.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    cache.pull(backend.all_needs, offline=offline, accept=accept_licences)
    with progress.show(show, quiet=quiet) as shown:
        shown.phase("demo clip", round(seconds * clips.FRAME_RATE))
        clips.write_demo(
            source,
            registry.load_generator(backend.generator),
            seconds=seconds,
            seed=seed,
            done=shown.advance,
            overwrite=overwrite,
        )
    if only_clip:
        return
    run_request(request, show, quiet=quiet, offline=offline, accept=accept_licences, backend=backend)
