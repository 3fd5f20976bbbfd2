"""`vidinv mix` and `vidinv interpolate`: mix the styles of two faces, or make a video from one face to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidinv.cli import json_target, options, picture_or_video, progress
from vidinv.cli.run import print_summary, resolve
from vidinv.errors import UsageError

STILL = "give a picture, such as a frame of it: ffmpeg -ss 0:12 -i {source} -frames:v 1 face.png"


@options.grouped
def mix(
    source: Annotated[Path, typer.Argument(metavar="A", help="The picture to change.")],
    other: Annotated[Path, typer.Argument(metavar="B", help="The picture that gives the style.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The mixed picture.")],
    layers: Annotated[
        str | None,
        typer.Option(metavar="FIRST-LAST", help="Rows of w+ taken from B. Default: those after F."),
    ] = None,
    share: Annotated[float, typer.Option(help="Interpolation weight of B.", min=0, max=1)] = 1.0,
    region: Annotated[str, typer.Option(metavar="NAME", help="Region to change: face, head, hair, ...")] = "head",
    overwrite: options.Overwrite = False,
    preview: options.Preview = False,
    *,
    common: options.Job,
) -> None:
    """Give the face of A the style of B: F from A, rows of w+ from B.

    --faces selects the faces of A; the largest face of B is used.

    Example: vidinv mix a.jpg b.jpg -o mixed.png --layers 8-15
    """
    from vidinv.backends import registry as backends
    from vidinv.faces.regions import REGIONS
    from vidinv.jobs import mix_faces as mixes
    from vidinv.jobs.request import Request
    from vidinv.weights import cache

    for picture in (source, other):
        picture_or_video.refuse_video(picture, STILL)
    if region not in REGIONS:
        raise UsageError(f"unknown --region {region!r}", remedy=f"choose one of {', '.join(REGIONS)}")
    request = Request(source, output, resolve(common), overwrite=overwrite, preview=preview)
    backend = backends.choose_backend(request.config.backend)
    rows = options.rows(layers, "--layers", backend.slots)
    pair = mixes.check_mix(request, other, backend)
    cache.need(backend.all_needs, offline=common.offline, accept=common.accept_licences)
    with progress.show(common.show, quiet=common.quiet) as shown:
        shown.phase("mix", 1)
        report = mixes.mix(pair, rows, share, region)
        shown.advance(1)
    print_summary(report, pair.one.files.paths(), shown)
    if common.json_to is not None:
        json_target.write_json(report, common.json_to)


@options.grouped
def interpolate(
    source: Annotated[Path, typer.Argument(metavar="A", help="The first picture.")],
    other: Annotated[Path, typer.Argument(metavar="B", help="The last picture.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.mp4", help="The video to write.")],
    seconds: Annotated[float, typer.Option(help="Length of the video.", min=0.1, max=60)] = 3.0,
    overwrite: options.Overwrite = False,
    *,
    common: options.Job,
) -> None:
    """Make a video that interpolates between the inversions of two aligned faces.

    Example: vidinv interpolate a.jpg b.jpg -o from_a_to_b.mp4
    """
    from vidinv.backends import registry as backends
    from vidinv.jobs import mix_faces as mixes
    from vidinv.jobs.request import Request
    from vidinv.weights import cache

    for picture in (source, other):
        picture_or_video.refuse_video(picture, STILL)
    config = resolve(common)
    backend = backends.choose_backend(config.backend)
    pair = mixes.check_film(Request(source, output, config, overwrite=overwrite), other, backend)
    cache.need(backend.needs, offline=common.offline, accept=common.accept_licences)
    with progress.show(common.show, quiet=common.quiet) as shown:
        shown.phase("interpolate", mixes.frame_count(seconds))
        mixes.interpolate(pair, seconds, shown.advance)
    shown.say(f"made {output}")
    if common.json_to is not None:
        facts = {"from": source.name, "to": other.name, "frames": mixes.frame_count(seconds), "quality": config.quality}
        json_target.write_json({"output": output.name, **facts}, common.json_to)
