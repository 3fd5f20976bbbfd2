"""`vidinv evaluate`: how good the networks are, on your own pictures and clips."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidinv.cli import options
from vidinv.errors import NoFaceFound, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from vidinv.report.inversions import Face

app = typer.Typer(help="Measure inversions.", no_args_is_help=True)
COLUMNS = ("psnr", "ssim", "mse", "lpips", "id", "id_other", "ic", "n", "frechet_mobilenet_v2")


@dataclass(frozen=True)
class Asked:
    """What is measured: `frames` faces of each clip of `data`, by `methods`; `codes` are those stored of one clip."""

    data: list[Path]
    methods: list[str]
    codes: Path | None
    frames: int
    aligned: bool
    baseline: int
    frechet: bool
    picture: Path | None
    encoder: str


@app.callback()
def _group() -> None:
    """Measure the networks on your own pictures and clips."""


@app.command("inversion")
def inversion(
    data: Annotated[list[Path], typer.Option("--data", metavar="PATH", help="Picture, clip or folder; repeatable.")],
    methods: Annotated[
        list[str] | None,
        typer.Option("--method", metavar="encoder|refined|optimised|stored", help="Repeatable; default: all that can."),
    ] = None,
    codes: Annotated[Path | None, typer.Option(metavar="FILE", help="The clip's codes, for the method stored.")] = None,
    frames: Annotated[int, typer.Option(help="Frames of each clip.")] = 4,
    aligned: Annotated[bool, typer.Option("--aligned", help="The pictures are FFHQ-aligned already.")] = False,
    baseline: Annotated[int, typer.Option(help="Steps of the w+ optimisation.")] = 200,
    frechet: Annotated[bool, typer.Option("--frechet", help="Also the Frechet distance (MobileNetV2).")] = False,
    picture: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a grid of faces and inversions.")] = None,
    encoder: options.Encoder = None,
    json_to: options.JsonTo = None,
    offline: options.Offline = False,
    accept_licences: options.AcceptLicences = False,
) -> None:
    """SSIM, PSNR, MSE, LPIPS and identity of inversions, at 256 pixels in [-1,1].

    Methods: the encoder alone; refined, as a run's first frame is; optimised, w+ from the mean face; stored, the codes
    that `vidinv invert` or `vidinv run --codes` kept.

    Example: vidinv evaluate inversion --data faces/ --aligned --method encoder --picture grid.png
    """
    from stages import parts
    from vidinv.encoders import encoder_file
    from vidinv.faces import pictures

    chosen = methods or ["stored" if codes else "refined", "encoder", *([] if codes else ["optimised"])]
    check(chosen, data, codes)
    if encoder is not None:
        encoder_file.check(Path(encoder), parts.choose("default").space)
    pictures.files(data)  # what cannot be measured is said before anything is fetched
    asked = Asked(data, chosen, codes, frames, aligned, baseline, frechet, picture, encoder or "")
    table = measure(asked, offline=offline, accept=accept_licences)
    if json_to is not None:
        options.write_json(table, json_to)
    if json_to != "-":
        shown = [column for column in COLUMNS if any(column in row for row in table.values())]
        typer.echo(" ".join([f"{'method':>10}", *(f"{column:>9}" for column in shown)]))
        for method, row in table.items():
            cells = (f"{row.get(column, ''):>{max(9, len(column))}}" for column in shown)
            typer.echo(" ".join([f"{method:>10}", *cells]))


def check(methods: list[str], data: list[Path], codes: Path | None) -> None:
    """Raise UsageError for an unknown method, and for codes that do not go with the rest."""
    from vidinv.report import inversions

    for method in methods:
        if method not in inversions.METHODS:
            known = ", ".join(inversions.METHODS)
            raise UsageError(f"--method {method!r} is not known", remedy=f"choose among {known}")
    if codes is None and "stored" in methods:
        raise UsageError("--method stored judges codes", remedy="give --codes FILE")
    if codes is not None and len(data) != 1:
        raise UsageError(f"--codes {codes} are of one clip, got {len(data)}", remedy="give one --data")


def measure(asked: Asked, *, offline: bool, accept: bool) -> dict[str, Any]:
    """Have the weights, run the methods over every face, and write the grid: one row a face."""
    import torch

    from stages import parts
    from vidinv import config as configs
    from vidinv.editing.refine import load_guides
    from vidinv.faces import embedder
    from vidinv.media.picture import write as write_picture
    from vidinv.metrics.mobilenet import load_mobilenet
    from vidinv.report import inversions
    from vidinv.weights import cache

    needs = (*parts.choose("default").needs, *(["features/mobilenet-v2"] if asked.frechet else []))
    cache.pull(needs, offline=offline, accept=accept)
    models = parts.choose("default").models("cpu", asked.encoder)
    features = load_mobilenet() if asked.frechet else None
    networks = inversions.Networks(models.generator, models.encoder, load_guides(), embedder.load_lightcnn(), features)
    grid: list[list[Tensor]] = []  # only where a picture is asked for: it holds every face

    def seen(name: str, shown: list[Tensor]) -> None:
        if asked.picture is not None:
            grid.append(shown)

    table = inversions.evaluate(
        networks,
        stored_faces(asked) if asked.codes is not None else found_faces(asked, models.generator.sizes[0]),
        asked.methods,
        configs.load("balanced").refine.first,
        asked.baseline,
        seen,
    )
    if not any(row.get("n") for row in table.values()):
        raise NoFaceFound(f"no face in {asked.data[0]}", remedy="give pictures of faces, or --aligned crops")
    if asked.picture is not None:
        rows = [torch.cat(row, 3) for row in grid]  # [1,3,S,columns*S]: the face, then its inversions
        write_picture(asked.picture, torch.cat(rows, 2)[0])
    return table


def found_faces(asked: Asked, size: int) -> Iterator[Face]:
    """The faces of pictures and clips, cut like a run's frames, under a progress bar."""
    from rich.progress import track

    from vidinv.faces import detector, landmarks, pictures
    from vidinv.report.inversions import Face

    files = pictures.files(asked.data)
    finder = pictures.Finder(detector.load_detector(), landmarks.load_landmarks())
    for path in track(files, description="inverting", transient=True):
        taken = None if asked.aligned and not pictures.is_clip(path) else finder
        for image in pictures.crops(path, asked.frames, size, taken):
            yield Face(str(path), image)


def stored_faces(asked: Asked) -> Iterator[Face]:
    """Faces with their stored codes, evenly over the clip, under a progress bar."""
    from rich.progress import track

    from stages import drawn
    from vidinv.report.inversions import Face

    assert asked.codes is not None
    stored = drawn.open_stored(asked.data[0], asked.codes)
    wanted = drawn.spread(stored, asked.frames)
    faces = drawn.faces(asked.data[0], stored, wanted)
    for _, image, code in track(faces, description="judging", total=len(wanted), transient=True):
        yield Face(str(asked.data[0]), image, code)
