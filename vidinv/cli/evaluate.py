"""`vidinv evaluate`: how good the networks are, on your own pictures and clips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidinv.cli.run import write_json
from vidinv.errors import NoFaceFound, UsageError

if TYPE_CHECKING:
    from torch import Tensor

app = typer.Typer(help="Measure inversions.", no_args_is_help=True)
COLUMNS = ("psnr", "ssim", "mse", "lpips", "id", "id_other", "ic", "n")


@app.callback()
def _group() -> None:
    """Measure the networks on your own pictures and clips."""


@app.command("inversion")
def inversion(
    data: Annotated[list[Path], typer.Option("--data", metavar="PATH", help="Picture, clip or folder; repeatable.")],
    methods: Annotated[
        list[str] | None, typer.Option("--method", metavar="encoder|refined|optimised", help="Repeatable.")
    ] = None,
    frames: Annotated[int, typer.Option(help="Frames of each clip.")] = 4,
    aligned: Annotated[bool, typer.Option("--aligned", help="The pictures are FFHQ-aligned already.")] = False,
    baseline: Annotated[int, typer.Option(help="Steps of the w+ optimisation.")] = 200,
    picture: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a grid of faces and inversions.")] = None,
    json_to: Annotated[str | None, typer.Option("--json", metavar="FILE", help="- is standard output.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network.")] = False,
    accept_licences: Annotated[bool, typer.Option("--accept-licences", help="Accept the weights' terms.")] = False,
) -> None:
    """SSIM, PSNR, MSE, LPIPS and identity of inversions, at 256 pixels in [-1,1].

    Example: vidinv evaluate inversion --data faces/ --aligned --method encoder --picture grid.png
    """
    from vidinv.report import inversions

    chosen = methods or list(inversions.METHODS)
    for method in chosen:
        if method not in inversions.METHODS:
            known = ", ".join(inversions.METHODS)
            raise UsageError(f"--method {method!r} is not known", remedy=f"choose among {known}")
    table = measure(data, chosen, frames, aligned, baseline, picture, offline=offline, accept=accept_licences)
    if json_to is not None:
        write_json(table, json_to)
    if json_to != "-":
        typer.echo(" ".join(f"{name:>10}" for name in ("method", *COLUMNS)))
        for method, row in table.items():
            typer.echo(" ".join([f"{method:>10}", *(f"{row.get(column, ''):>10}" for column in COLUMNS)]))


def measure(
    data: list[Path],
    methods: list[str],
    frames: int,
    aligned: bool,
    baseline: int,
    picture: Path | None,
    *,
    offline: bool,
    accept: bool,
) -> dict[str, Any]:
    """Have the weights, run the methods over every face, and write the grid: one row a face."""
    import torch
    from rich.progress import track

    from stages import parts
    from vidinv import config as configs
    from vidinv.editing.refine import load_guides
    from vidinv.faces import detector, embedder, landmarks, pictures
    from vidinv.media.picture import write as write_picture
    from vidinv.report import inversions
    from vidinv.weights import cache

    files = pictures.files(data)
    cache.pull(parts.choose("default").needs, offline=offline, accept=accept)
    finder = pictures.Finder(detector.load_detector(), landmarks.load_landmarks())
    models = parts.choose("default").models("cpu")
    networks = inversions.Networks(models.generator, models.encoder, load_guides(), embedder.load_lightcnn())
    size = models.generator.sizes[0]
    faces = (
        (str(path), face)
        for path in track(files, description="inverting", transient=True)
        for face in pictures.crops(path, frames, size, None if aligned and not pictures.is_clip(path) else finder)
    )
    grid: list[list[Tensor]] = []
    first = configs.load("balanced").refine.first
    table = inversions.evaluate(networks, faces, methods, first, baseline, lambda name, shown: grid.append(shown))
    if not grid:
        raise NoFaceFound(f"no face in {len(files)} files", remedy="give pictures of faces, or --aligned crops")
    if picture is not None:
        rows = [torch.cat(row, 3) for row in grid]  # [1,3,S,columns*S]: the face, then its inversions
        write_picture(picture, torch.cat(rows, 2)[0])
    return table
