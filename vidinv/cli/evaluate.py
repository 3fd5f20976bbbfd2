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
    """Have the weights, run the methods over every face, and write the grid."""
    from rich.progress import track

    from stages import parts
    from vidinv import config as configs
    from vidinv.editing.refine import Effort, Guides
    from vidinv.encoders import registry as encoders
    from vidinv.faces import detector, embedder, landmarks, pictures
    from vidinv.generators import registry as generators
    from vidinv.losses.lpips import LPIPS
    from vidinv.report import inversions
    from vidinv.weights import cache

    files = pictures.files(data)
    cache.pull(parts.choose("default").needs, offline=offline, accept=accept)
    finder = pictures.Finder(detector.load_detector(), landmarks.load_landmarks())
    generator = generators.load("mobile-stylegan-ffhq-1024")
    guides = Guides(embedder.load_arcface(), LPIPS.load("alexnet"))
    encoder = encoders.load("feature-style-light")
    networks = inversions.Networks(generator, encoder, guides, embedder.load_lightcnn())
    faces = (
        (str(path), face)
        for path in track(files, description="inverting", transient=True)
        for face in pictures.crops(
            path, frames, generator.sizes[0], None if aligned and not pictures.is_clip(path) else finder
        )
    )
    grid: list[list[Tensor]] = []
    steps = configs.load("balanced").refine
    first = Effort(steps.first_latent, steps.first_feature)
    table = inversions.evaluate(networks, faces, methods, first, baseline, lambda name, shown: grid.append(shown))
    if not grid:
        raise NoFaceFound(f"no face in {len(files)} files", remedy="give pictures of faces, or --aligned crops")
    if picture is not None:
        write_grid(grid, picture)
    return table


def write_grid(grid: list[list[Tensor]], path: Path) -> None:
    """One row per face: the face, then its inversions; images [1,3,S,S] in [-1,1]."""
    import cv2
    import torch

    whole = torch.cat([torch.cat(row, 3) for row in grid], 2)[0]  # [3,rows*S,columns*S]
    pixels = ((whole.permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
    if not cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)):
        raise UsageError(f"cannot write {path}", remedy="give a .png in a folder that is there")
