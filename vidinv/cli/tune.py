"""`vidinv tune`: tune the encoder, or the generator for each person, to a clip and write the result to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidinv.cli import folders, json_target, options
from vidinv.cli.run import resolve, run_request
from vidinv.errors import UsageError

WHAT = ("encoder", "generator")


@options.grouped
def tune(
    source: Annotated[Path, typer.Argument(metavar="CLIP", help="A video.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The tuned network (.safetensors).")],
    what: Annotated[str, typer.Option(metavar="|".join(WHAT), help="The network to tune.")] = "encoder",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    *,
    common: options.Job,
) -> None:
    """Tune the encoder or the generator to a clip, for `vidinv run --encoder FILE` or `--generator FILE`.

    The generator is tuned for each person separately. Training uses key frames that are sharp, diverse in pose and
    spread in time; held-out faces decide when to stop. The result also serves other clips of the same person.

    Example: vidinv tune talk.mp4 --what encoder -o talk.encoder.safetensors --set tuning.steps=160
    """
    if what not in WHAT:
        raise UsageError(f"unknown --what {what!r}", remedy=f"choose one of {', '.join(WHAT)}")
    if common.tune not in (None, what):
        raise UsageError(f"--tune {common.tune} and --what {what} are exclusive", remedy="remove --tune")
    config = resolve(common, tune=what)
    if what == "encoder" and config.backend != "default" and not config.encoder:
        raise UsageError(f"the encoder of the backend {config.backend!r} has no file", remedy="give --encoder FILE")
    from vidinv.jobs.request import Request

    source = folders.with_name(source)
    request = Request(source, output, config, overwrite=overwrite, only_tuned=True)
    report = run_request(
        request, common.show, quiet=common.quiet, offline=common.offline, accept=common.accept_licences
    )
    if common.json_to is not None:
        json_target.write_json(report, common.json_to)
