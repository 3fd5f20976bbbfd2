"""`vidinv evaluate`: measure the quality of inversions and edits on your own pictures and clips."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidinv import extras
from vidinv.cli import evaluate_generative, evaluation_grid, json_target, options
from vidinv.errors import NoFaceFound, UsageError
from vidinv.terminal import print_line

if TYPE_CHECKING:
    from torch import Tensor

    from vidinv.backends.interface import Backend, Models
    from vidinv.editing.directions import Direction
    from vidinv.frames import Code
    from vidinv.generators.base import Generator
    from vidinv.report.edits import EditEvaluators
    from vidinv.report.inversions import Face, Networks

Data = Annotated[list[Path], typer.Option("--data", metavar="PATH", help="Picture, clip or folder; repeatable.")]
Frames = Annotated[int, typer.Option(help="Frames per clip.")]
Aligned = Annotated[bool, typer.Option("--aligned", help="The pictures are already FFHQ-aligned.")]
WithFrechet = Annotated[bool, typer.Option("--frechet", help="Also measure the Frechet distance (MobileNetV2).")]
app = typer.Typer(help="Measure inversions, edits and autoencoders.", no_args_is_help=True)
EDITED = ("encoder", "refined", "stored")  # inversion methods whose codes can be edited
COLUMNS = ("psnr", "ssim", "mse", "lpips", "id", "id_other", "ic", "n", "frechet_mobilenet_v2")


@dataclass(frozen=True)
class InversionEvaluation:
    """Request of an evaluation: `frames` faces per clip of `data`, by `methods`; `codes` is one clip's code file."""

    data: list[Path]
    methods: list[str]
    codes: Path | None
    frames: int
    aligned: bool
    baseline: int
    frechet: bool
    picture: Path | None
    encoder: str
    backend: str
    lpips: str = "ours"  # or package: whose code measures it, with the same weights
    overwrite: bool = False  # whether the grid may replace a file


@app.callback()
def _group() -> None:
    """Measure the networks on your own pictures and clips."""


app.command("generative")(evaluate_generative.generative)


@app.command("inversion")
def inversion(
    data: Data,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--method", metavar="encoder|refined|optimised|stored", help="Inversion method; repeatable. Default: all."
        ),
    ] = None,
    codes: Annotated[Path | None, typer.Option(metavar="FILE", help="The clip's codes, for the method stored.")] = None,
    frames: Frames = 4,
    aligned: Aligned = False,
    baseline: Annotated[int, typer.Option(help="Steps of the w+ optimisation.")] = 200,
    frechet: WithFrechet = False,
    picture: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a grid of faces and inversions.")] = None,
    lpips: Annotated[
        str, typer.Option(metavar="ours|package", help="Whose code measures LPIPS; package needs vidinv[lpips].")
    ] = "ours",
    overwrite: options.Overwrite = False,
    encoder: options.Encoder = None,
    backend: options.Name = "default",
    json_to: options.JsonTo = None,
    offline: options.Offline = False,
    accept_licences: options.AcceptLicences = False,
    debug: options.Debug = False,
) -> None:
    """Measure SSIM, PSNR, MSE, LPIPS and identity similarity of inversions, at 256 pixels in [-1,1].

    Methods: encoder, the encoder alone; refined, like a run's first frame; optimised, w+ from the mean face; stored,
    the codes written by `vidinv invert` or `vidinv run --codes`.

    Example: vidinv evaluate inversion --data faces/ --aligned --method encoder --picture grid.png
    """
    from vidinv.encoders import encoder_file
    from vidinv.faces import pictures

    own = of_faces(backend)
    chosen = methods or ["stored" if codes else "refined", "encoder", *([] if codes else ["optimised"])]
    check_methods(chosen, data, codes)
    check_lpips(lpips)
    if encoder is not None:
        encoder_file.check_encoder(Path(encoder), own.space)
    pictures.files(data)  # raises for unusable data before anything is fetched
    evaluation_grid.check_picture(picture, data, overwrite)
    asked = InversionEvaluation(
        data, chosen, codes, frames, aligned, baseline, frechet, picture, encoder or "", backend, lpips, overwrite
    )
    table = measure(asked, offline=offline, accept=accept_licences)
    if json_to is not None:
        json_target.write_json(table, json_to)
    if json_to != "-":
        shown = [column for column in COLUMNS if any(column in row for row in table.values())]
        print_line(" ".join([f"{'method':>10}", *(f"{column:>9}" for column in shown)]))
        for method, row in table.items():
            cells = (f"{row.get(column, ''):>{max(9, len(column))}}" for column in shown)
            print_line(" ".join([f"{method:>10}", *cells]))


def check_methods(methods: list[str], data: list[Path], codes: Path | None) -> None:
    """Raise UsageError for an unknown method, and for codes that do not match the other options."""
    from vidinv.report import inversions

    for method in methods:
        if method not in inversions.METHODS:
            known = ", ".join(inversions.METHODS)
            raise UsageError(f"unknown --method {method!r}", remedy=f"choose one of {known}")
    if codes is None and "stored" in methods:
        raise UsageError("--method stored needs a code file", remedy="give --codes FILE")
    if codes is not None and len(data) != 1:
        raise UsageError(f"--codes {codes} belongs to one clip, got {len(data)}", remedy="give one --data")


def check_lpips(lpips: str) -> None:
    """Raise UsageError for a value of --lpips that is not known, or whose package is not installed."""
    if lpips not in ("ours", "package"):
        raise UsageError(f"--lpips {lpips!r} is not known", remedy="choose ours or package")
    if lpips == "package":
        extras.require("lpips", "--lpips package", instead="use --lpips ours")


def measure(asked: InversionEvaluation, *, offline: bool, accept: bool) -> dict[str, Any]:
    """Fetch the weights, run the methods on every face, and write the grid with one row per face."""
    from vidinv import config as configs
    from vidinv.report import inversions

    models, networks = load_evaluation(asked, offline=offline, accept=accept)
    grid = evaluation_grid.EvaluationGrid(asked.picture, ("face", *asked.methods), asked.overwrite)
    table = inversions.evaluate(
        networks,
        found_faces(asked.data, asked.frames, asked.aligned, models.generator.sizes[0])
        if asked.codes is None
        else stored_faces(asked.data[0], asked.codes, asked.frames, models.generator),
        asked.methods,
        configs.load_run_config("balanced").refine.first,
        asked.baseline,
        grid.add,
    )
    if not any(row.get("n") for row in table.values()):
        raise NoFaceFound(f"no face in {asked.data[0]}", remedy="give pictures of faces, or --aligned crops")
    grid.write()
    return table


def of_faces(name: str) -> Backend:
    """Return the backend of that name. Raises UsageError if it is not for faces."""
    from vidinv.backends import registry as backends

    found = backends.choose_backend(name)
    if not (found.recognises and found.measures):
        raise UsageError(
            f"evaluate measures faces, and the backend {name} has no face networks",
            remedy="give a backend with alignment ffhq, identity faces and measures faces",
        )
    return found


def load_evaluation(
    asked: InversionEvaluation, *, offline: bool, accept: bool, measuring: bool = False
) -> tuple[Models, Networks]:
    """Fetch the weights and load the models and evaluators; `measuring` includes the attribute networks."""
    from vidinv.editing.refine import load_guides
    from vidinv.faces import embedder
    from vidinv.losses.lpips_package import packaged_lpips
    from vidinv.metrics.mobilenet import load_mobilenet
    from vidinv.report import inversions
    from vidinv.weights import cache

    backend = of_faces(asked.backend)
    needs = [*backend.needs, *(backend.measuring if measuring else ())]
    needs += ["features/mobilenet-v2"] if asked.frechet else []
    cache.pull(needs, offline=offline, accept=accept)
    models = backend.models("cpu", asked.encoder)
    features = load_mobilenet() if asked.frechet else None
    guides = load_guides()
    return models, inversions.Networks(
        models.generator,
        models.encoder,
        guides,
        embedder.load_lightcnn(),
        features,
        lpips=packaged_lpips(guides.perceptual) if asked.lpips == "package" else None,
    )


def found_faces(data: list[Path], frames: int, aligned: bool, size: int) -> Iterator[Face]:
    """Yield the faces of pictures and clips, cropped like a run's frames, with a progress bar."""
    from rich.progress import track

    from vidinv.faces import detector, landmarks, pictures
    from vidinv.report.inversions import Face

    files = pictures.files(data)
    finder = pictures.Finder(detector.load_detector(), landmarks.load_landmarks())
    for path in track(files, description="judging", transient=True):
        taken = None if aligned and not pictures.is_clip(path) else finder
        for image in pictures.crops(path, frames, size, taken):
            yield Face(str(path), image)


def stored_faces(clip: Path, codes: Path, frames: int, generator: Generator) -> Iterator[Face]:
    """Yield evenly spaced faces of a clip with their stored codes, with a progress bar.

    Raises InputUnreadable for codes that `generator` cannot render.
    """
    from rich.progress import track

    from vidinv.jobs import render_codes
    from vidinv.report.inversions import Face

    stored = render_codes.open_stored(clip, codes)
    stored.check_generator(generator)
    wanted = render_codes.spread_faces(stored, frames)
    faces = render_codes.iterate_faces(clip, stored, wanted)
    for _, image, code in track(faces, description="judging", total=len(wanted), transient=True):
        yield Face(str(clip), image, code)


@app.command("edits")
def edits(
    data: Data,
    names: Annotated[
        list[str] | None,
        typer.Option("--edit", metavar="NAME", help="A direction; repeatable. Default: all shipped ones."),
    ] = None,
    method: Annotated[
        str | None, typer.Option(metavar="|".join(EDITED), help="Inversion method. Default: encoder.")
    ] = None,
    codes: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder with each clip's codes, CLIP.safetensors.")
    ] = None,
    frames: Frames = 4,
    aligned: Aligned = False,
    frechet: WithFrechet = False,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a grid: face, inversion, each edit at -2 and +2.")
    ] = None,
    overwrite: options.Overwrite = False,
    encoder: options.Encoder = None,
    backend: options.Name = "default",
    json_to: options.JsonTo = None,
    offline: options.Offline = False,
    accept_licences: options.AcceptLicences = False,
    debug: options.Debug = False,
) -> None:
    """Measure the effect of edits at -2, -1, +1 and +2 on their own attribute, other attributes and identity.

    Where available, an independent network measures the attribute too; a random direction of equal length serves as
    reference. Images have 256 pixels. Methods: encoder, rendered like `--quality fast`; refined, like a run's first
    frame; stored, the codes written by `vidinv invert` or `vidinv run --codes`. A clip's value is the mean of its
    frames.

    Example: vidinv evaluate edits --data faces/ --aligned --edit age --edit smile --frechet
    """
    from vidinv.editing import directions
    from vidinv.encoders import encoder_file
    from vidinv.faces import pictures
    from vidinv.report import tables

    own, how = of_faces(backend), method or ("stored" if codes else "encoder")
    if how not in EDITED:
        raise UsageError(f"unknown --method {how!r}", remedy=f"choose one of {', '.join(EDITED)}")
    if (how == "stored") != (codes is not None):
        raise UsageError("--method stored and --codes FOLDER need each other", remedy="give both or neither")
    chosen = [own.direction(name) for name in names or directions.shipped_names(own.space)]
    if not chosen:
        raise UsageError(f"vidinv ships no direction of {own.space}", remedy="name one with --edit NAME")
    for direction in chosen:
        if direction.name not in own.measures:
            known = ", ".join(own.measures)
            raise UsageError(f"no network measures {direction.name!r}", remedy=f"measured attributes: {known}")
    if encoder is not None:
        encoder_file.check_encoder(Path(encoder), own.space)
    pictures.files(data)
    evaluation_grid.check_picture(picture, data, overwrite)
    asked = InversionEvaluation(
        data, [how], codes, frames, aligned, 0, frechet, picture, encoder or "", backend, overwrite=overwrite
    )
    table = measure_edits(asked, chosen, offline=offline, accept=accept_licences)
    if json_to is not None:
        json_target.write_json(table, json_to)
    if json_to != "-":
        print_line("\n".join(tables.edit_tables(table)))
    if picture is not None:
        shown = ", ".join(f"{direction.name} at -2 and +2" for direction in chosen)
        print_line(f"made {picture}: the face, its inversion, {shown}")


def measure_edits(
    asked: InversionEvaluation, chosen: list[Direction], *, offline: bool, accept: bool
) -> dict[str, Any]:
    """Fetch the weights, edit every face along the directions, and write the grid."""
    from vidinv.report import edits as reports
    from vidinv.report import published_baselines

    models, networks = load_evaluation(asked, offline=offline, accept=accept, measuring=True)
    (method,) = asked.methods
    ends = reports.STRENGTHS[0], reports.STRENGTHS[-1]
    edited = [f"{direction.name}{strength:+g}" for direction in chosen for strength in ends]
    grid = evaluation_grid.EvaluationGrid(asked.picture, ("face", "inversion", *edited), asked.overwrite)
    tallies = published_baselines.tallies(networks.guides.perceptual, networks.features)
    table = reports.evaluate(
        edit_evaluators(models, method),
        coded_faces(asked, method, networks, models.generator.sizes[0]),
        chosen,
        tallies,
        grid.add,
    )
    if not table["faces"]:
        raise NoFaceFound(f"no face in {asked.data[0]}", remedy="give pictures of faces, or --aligned crops")
    grid.write()
    return {"method": method, **table, "papers": published_baselines.summaries(tallies, networks.frechet)}


def edit_evaluators(models: Models, method: str) -> EditEvaluators:
    """Return the renderer and evaluators; encoder codes are rendered by the proxy head, like `--quality fast`."""
    from vidinv.faces import independent_attributes
    from vidinv.faces.attribute_meter import SPREADS
    from vidinv.report.edits import EditEvaluators

    def draw(code: Code) -> Tensor:
        if method == "encoder":
            return models.proxy(code.ws, code.feature, code.at).clamp(-1, 1)
        return models.generator.picture(code, models.generator.sizes[0])

    return EditEvaluators(
        models.generator,
        draw,
        models.backend.measure(),
        independent_attributes.load_independent_meter().measure,
        tuple(independent_attributes.UNITS),
        SPREADS,
        {"id": models.identity["arcface"], "id_other": models.identity["lightcnn"]},
    )


def coded_faces(asked: InversionEvaluation, method: str, networks: Networks, size: int) -> Iterator[tuple[Face, Code]]:
    """Yield every face and its code, inverted now or stored."""
    from vidinv import config as configs
    from vidinv.faces import pictures
    from vidinv.report import inversions

    first = configs.load_run_config("balanced").refine.first
    if asked.codes is None:
        faces = found_faces(asked.data, asked.frames, asked.aligned, size)
    else:
        folder = asked.codes
        clips = pictures.files(asked.data)
        drawer = networks.generator
        stored = (stored_faces(clip, folder / f"{clip.stem}.safetensors", asked.frames, drawer) for clip in clips)
        faces = itertools.chain.from_iterable(stored)
    for face in faces:
        yield face, inversions.code_of(networks, method, face, first)
