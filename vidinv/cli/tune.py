"""`vidinv tune`: an encoder, or a generator of each person, fitted to one clip, in a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidinv.cli import options
from vidinv.cli.run import perform, resolve
from vidinv.errors import UsageError

WHAT = ("encoder", "generator")


@options.grouped
def tune(
    source: Annotated[Path, typer.Argument(metavar="CLIP", help="A video.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="What is tuned (.safetensors).")],
    what: Annotated[str, typer.Option(metavar="|".join(WHAT), help="What is tuned.")] = "encoder",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
    *,
    common: options.Job,
) -> None:
    """Tune to a clip, for `vidinv run --encoder FILE` or `--generator FILE` on this clip and others of the same person.

    The encoder, or the generator to each person apart. It learns from key faces that are sharp, diverse in pose and
    spread in time; held-out faces say when to stop.

    Example: vidinv tune talk.mp4 --what encoder -o talk.encoder.safetensors --set tuning.steps=160
    """
    if what not in WHAT:
        raise UsageError(f"--what {what!r} is not known", remedy=f"choose one of {', '.join(WHAT)}")
    if common.tune not in (None, what):
        raise UsageError(f"--tune {common.tune} and --what {what} do not go together", remedy="leave --tune out")
    config = resolve(common, tune=what)
    if what == "encoder" and config.backend != "default" and not config.encoder:
        raise UsageError(f"the encoder of the backend {config.backend!r} has no file", remedy="give --encoder FILE")
    from vidinv.jobs.request import Request

    request = Request(source, output, config, overwrite=overwrite, only_tuned=True)
    report = perform(request, common.show, offline=common.offline, accept=common.accept_licences)
    if common.json_to is not None:
        options.write_json(report, common.json_to)
