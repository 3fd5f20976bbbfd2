"""`vidinv edit`: edit the faces of a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidinv import config as configs
from vidinv.cli import options, progress
from vidinv.cli.run import print_summary, resolve
from vidinv.errors import UsageError


@options.grouped
def edit(
    source: Annotated[Path, typer.Argument(metavar="IMAGE", help="The picture.")],
    edits: options.Edits = None,
    track: options.Tracks = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Default: IMAGE's name with .edited.")] = None,
    overwrite: options.Overwrite = False,
    blend: options.Blend = None,
    preview: options.Preview = False,
    c2pa: options.C2pa = False,
    watermark: options.Watermark = False,
    *,
    common: options.Job,
) -> None:
    """Edit the faces of a picture and keep every pixel outside them (bit for bit in a .png).

    Example: vidinv edit portrait.jpg --edit age=60 -o older.png
    """
    from vidinv.editing import grammar
    from vidinv.jobs import image_job
    from vidinv.jobs.request import Request
    from vidinv.weights import cache

    wanted = [*(edits or []), *map(grammar.of_person, track or [])]
    resolved = configs.with_edits(resolve(common, blend=blend), wanted)
    if not resolved.edits:
        raise UsageError("nothing to edit", remedy="give an edit, such as --edit age+2")
    target = output or source.with_name(f"{source.stem}.edited{source.suffix}")
    request = Request(source, target, resolved, overwrite=overwrite, preview=preview, c2pa=c2pa, watermark=watermark)
    checked = image_job.check_picture(request)
    cache.need(checked.needs, offline=common.offline, accept=common.accept_licences)
    with progress.show(common.show) as shown:
        shown.phase("edit", 1)
        report = image_job.edit(checked)
        shown.advance(1)
    print_summary(report, request.writes(), shown)
    if common.json_to is not None:
        options.write_json(report, common.json_to)
