"""`vidinv edit`: edit the faces of a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidinv import config as configs
from vidinv.cli import folders, json_target, options, picture_or_video, progress
from vidinv.cli.run import print_summary, resolve
from vidinv.errors import UsageError


@options.grouped
def edit(
    source: Annotated[Path, typer.Argument(metavar="IMAGE", help="The picture.")],
    edits: options.Edits = None,
    track: options.Tracks = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Default: IMAGE's name with .edited.")] = None,
    overwrite: options.Overwrite = False,
    force: options.Force = False,
    blend: options.Blend = None,
    preview: options.Preview = False,
    c2pa: options.C2pa = False,
    watermark: options.Watermark = False,
    strip_location: Annotated[
        bool, typer.Option("--strip-location", help="Leave out where the photo was taken (EXIF and XMP).")
    ] = False,
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
        raise UsageError("no edit is given", remedy="give one, such as --edit age+2 (vidinv directions list)")
    folders.refuse_folder(
        source, "give one picture; a folder of pictures is edited with: vidinv run FOLDER --edit age+2"
    )
    picture_or_video.refuse_video(source, "edit it with: vidinv run {source} --edit age+2")
    target = output or default_output(source)
    request = Request(
        source,
        target,
        resolved,
        overwrite=overwrite,
        preview=preview,
        c2pa=c2pa,
        watermark=watermark,
        force=force,
        strip_location=strip_location,
    )
    checked = image_job.check_picture(request)
    cache.need(checked.needs, offline=common.offline, accept=common.accept_licences)
    with progress.show(common.show, quiet=common.quiet) as shown:
        shown.phase("edit", 1)
        report = image_job.edit(checked)
        shown.advance(1)
    print_summary(report, checked.files.paths(), shown)
    if common.json_to is not None:
        json_target.write_json(report, common.json_to)


def default_output(source: Path) -> Path:
    """Return IMAGE's name with .edited; .png if IMAGE's format cannot be written."""
    from vidinv.media import photo

    suffix = source.suffix if photo.is_photo(source) else ".png"
    return source.with_name(f"{source.stem}.edited{suffix}")
