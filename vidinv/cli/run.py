"""`vidinv run`: edit the faces of a video."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidinv import config as configs
from vidinv.cli import folders, json_target, options, picture_or_video, progress
from vidinv.config import RunConfig
from vidinv.errors import QualityGateMissed, UsageError

if TYPE_CHECKING:
    from vidinv.backends.interface import Backend
    from vidinv.jobs.request import Request
    from vidinv.progress import ProgressDisplay

# Job options that are also configuration keys.
OPTIONS = ("faces", "backend", "boxes", "stream", "encoder", "generator", "tune", "device", "engine")


@options.grouped
def run(
    source: Annotated[Path, typer.Argument(metavar="IN", help="The video, or a folder of pictures.")],
    edit: options.Edits = None,
    edits: Annotated[
        Path | None, typer.Option("--edits", metavar="FILE", help="Further edits, as a YAML list.")
    ] = None,
    track: options.Tracks = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Default: IN's name with .edited; a folder if it has no suffix."),
    ] = None,
    overwrite: options.Overwrite = False,
    force: options.Force = False,
    blend: options.Blend = None,
    codec: Annotated[str | None, typer.Option(metavar="NAME|lossless", help="Video codec of the output.")] = None,
    crf: Annotated[int | None, typer.Option(help="Quality of the codec; lower is better.")] = None,
    preset: Annotated[str | None, typer.Option(metavar="NAME", help="Preset of the encoder (slow, 6, ...).")] = None,
    pixel_format: Annotated[
        str | None,
        typer.Option("--pix-fmt", metavar="NAME", help="Pixel format, such as yuv420p. Default: the source's."),
    ] = None,
    preview: options.Preview = False,
    at: Annotated[
        str | None, typer.Option(metavar="T", help="With --preview: only a few seconds from T (0:12).")
    ] = None,
    still: Annotated[
        str | None,
        typer.Option("--still", metavar="T", help="Only draw source, result and change of the frame at T (0:12)."),
    ] = None,
    codes: Annotated[
        Path | None,
        typer.Option("--codes", metavar="FILE", help="Code file: read if it exists, else written."),
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Also write a report page on identity preservation.")
    ] = False,
    no_thumbnails: options.NoThumbnails = False,
    min_identity: options.MinIdentity = None,
    min_ic: options.MinIc = None,
    c2pa: options.C2pa = False,
    watermark: options.Watermark = False,
    keep_job: Annotated[bool, typer.Option("--keep-job", help="Keep the job folder (it contains faces).")] = False,
    *,
    common: options.Job,
) -> None:
    """Edit the faces of a video and keep every other sample, stream and timestamp.

    Example: vidinv run talk.mp4 --edit age+2 --edit smile-1 -o older.mp4
    """
    from vidinv.editing import grammar

    wanted = [*(edit or []), *(grammar.read_list(edits) if edits else []), *map(grammar.of_person, track or [])]
    resolved = configs.with_edits(
        resolve(common, blend=blend, codec=codec, crf=crf, preset=preset, pixel_format=pixel_format), wanted
    )
    if not (resolved.edits or preview or codes):
        raise UsageError(
            "no edit is given",
            remedy="give one, such as --edit age+2 (vidinv directions list), or --preview or --codes",
        )
    source = folders.with_name(source)
    picture_or_video.refuse_picture(source)
    if still is not None:
        whole_clip = {"--preview": preview, "--at": at, "--codes": codes, "--report": report, "--c2pa": c2pa}
        _refuse_with_still(whole_clip | {"--watermark": watermark, "--codec": codec, "--keep-job": keep_job})
        _draw_still(source, output, grammar.parse_time(still), resolved, common, overwrite=overwrite, force=force)
        return
    target = output or default_output(source)
    from vidinv.jobs.request import Request

    request = Request(
        source=source,
        output=target,
        config=resolved,
        overwrite=overwrite,
        preview=preview,
        at=None if at is None else grammar.parse_time(at),
        keep_job=keep_job,
        codes=codes,
        report=report,
        thumbnails=not no_thumbnails,
        gate=options.gate(min_identity, min_ic),
        command=shlex.join(["vidinv", *sys.argv[1:]]),
        c2pa=c2pa,
        watermark=watermark,
        force=force,
    )
    made = run_request(request, common.show, quiet=common.quiet, offline=common.offline, accept=common.accept_licences)
    if common.json_to is not None:
        json_target.write_json(made, common.json_to)
    kept = made["output"]["path"] or made["output"].get("preview")
    check_gate(made["gate"], f"the result is kept as {kept}")


def _refuse_with_still(given: Mapping[str, object]) -> None:
    """Raise UsageError for options that a still has no use for."""
    for option, value in given.items():
        if value:
            raise UsageError(f"--still and {option} exclude each other", remedy=f"leave out {option}")


def _draw_still(
    source: Path,
    output: Path | None,
    second: float,
    config: RunConfig,
    common: options.Job,
    *,
    overwrite: bool,
    force: bool,
) -> None:
    from vidinv.jobs import still
    from vidinv.jobs.request import Request
    from vidinv.weights import cache

    request = Request(source, output or still.default_output(source), config, overwrite=overwrite, force=force)
    request, backend = still.check_still(request, second)
    cache.need(backend.all_needs, offline=common.offline, accept=common.accept_licences)
    with progress.show(common.show, quiet=common.quiet) as shown:
        shown.phase("still", 1)
        still.draw_still(request, second, backend)
        shown.advance(1)
    shown.say(f"made {request.output}")


def check_gate(verdict: dict[str, Any] | None, remedy: str) -> None:
    """Raise QualityGateMissed, with the `remedy`, if the report's gate was missed."""
    from vidinv.report import gate

    if verdict is not None and not verdict["passed"]:
        raise QualityGateMissed(f"the identity gate was missed: {gate.describe_misses(verdict)}", remedy=remedy)


def default_output(source: Path) -> Path:
    """Return IN's name with .edited; .mkv if IN's format cannot be written, a folder for a folder."""
    from vidinv.media import remux

    if source.is_dir():
        return source.with_name(f"{source.name.replace('.', '_')}_edited")
    suffix = source.suffix if remux.is_written(source) else ".mkv"
    return source.with_name(f"{source.stem}.edited{suffix}")


def resolve(common: options.Job, **own: str | int | None) -> RunConfig:
    """Resolve the configuration: preset or file, then options (including the command's `own`), then --set."""
    quality, config = common.quality, common.config
    if quality is not None and quality not in configs.CHOICES["quality"]:
        known = ", ".join(configs.CHOICES["quality"])
        raise UsageError(f"unknown --quality {quality!r}", remedy=f"choose one of {known}")
    if quality is not None and config is not None:
        raise UsageError("--quality and --config both select a configuration", remedy="give only one of them")
    asked = {key: getattr(common, key) for key in OPTIONS} | own
    given = {key: value for key, value in asked.items() if value is not None}
    return configs.load_run_config(config or quality or "balanced", common.changes, given)


def run_request(
    request: Request,
    show: str | None,
    *,
    quiet: bool = False,
    offline: bool,
    accept: bool,
    backend: Backend | None = None,
) -> dict[str, Any]:
    """Check the request, have the weights, run the job; `backend` is the request's, where it is resolved already."""
    from vidinv.jobs import check, video_job
    from vidinv.weights import cache

    checked = check.check_request(request, backend)
    if checked.needs:
        cache.need(checked.needs, offline=offline, accept=accept)
    files, below = checked.files.paths(), checked.below_gate().files.paths()
    with progress.show(show, quiet=quiet) as shown:
        report = video_job.run(request, shown, checked.backend)
    verdict = report.get("gate")
    print_summary(report, files if verdict is None or verdict["passed"] else below, shown)
    return report


def print_summary(report: dict[str, Any], files: list[Path], shown: ProgressDisplay) -> None:
    """Print the summary of a job that wrote `files`."""
    from vidinv.report import summary

    for line in summary.summary_lines(report, files):
        shown.say(line)
