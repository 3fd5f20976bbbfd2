"""`vidinv report`: rebuild a run's report page, measure a pair of videos, or compare several reports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from vidinv import config as configs
from vidinv import fileio
from vidinv.cli import folders, json_target, options, progress
from vidinv.errors import UsageError
from vidinv.terminal import print_line


@dataclass(frozen=True)
class ReportOptions:
    """Options of every kind of report."""

    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE.html", help="The page.")] = None
    overwrite: options.Overwrite = False
    no_thumbnails: options.NoThumbnails = False
    min_identity: options.MinIdentity = None
    min_ic: options.MinIc = None
    faces: options.Faces = None
    backend: options.Backend = None
    boxes: options.Boxes = None
    stream: options.Stream = None
    device: options.Device = None
    offline: options.Offline = False
    accept_licences: options.AcceptLicences = False
    show: options.Show = None
    quiet: options.Quiet = False
    changes: options.Changes = None
    json_to: options.JsonTo = None
    debug: options.Debug = False


@options.grouped
def report(
    paths: Annotated[
        list[Path], typer.Argument(metavar="OUT.mp4 | JOB | SOURCE EDITED | compare A B...", help="What to report on.")
    ],
    *,
    common: ReportOptions,
) -> None:
    """Report how well identity was preserved, as one HTML page that works offline.

    For one path, a run's output or its kept job folder, the page is built again. For two videos, the second is measured
    against the first, whatever tool made it. `compare` shows the reports of several outputs side by side.

    Example: vidinv report talk.mp4 talk.made_by_another_tool.mp4 --min-identity 0.6
    """
    if str(paths[0]) == "compare":
        _compare([folders.with_pictures(path) for path in paths[1:]], common)
    elif len(paths) == 1:
        is_job = folders.with_name(paths[0]).suffix == ".vidinv"
        _again(folders.with_name(paths[0]) if is_job else folders.with_pictures(paths[0]), common)
    elif len(paths) == 2:
        _measure(folders.with_pictures(paths[0]), folders.with_pictures(paths[1]), common)
    else:
        raise UsageError(
            f"report takes one or two files, got {len(paths)}",
            remedy="give one output, a SOURCE and an EDITED, or compare A B ...",
        )


def _again(path: Path, common: ReportOptions) -> None:
    """Rebuild a run's page from its report and the pictures in its job folder or its old page."""
    from vidinv.jobs import write_page
    from vidinv.jobs.request_files import page_path
    from vidinv.report import document, identity_evidence
    from vidinv.report.strips import Strip, strips_from_html

    is_job, strips = path.is_dir() and path.suffix == ".vidinv", list[Strip]()
    known = read_report(path / "report.json" if is_job else path)
    made = path.with_name(known["output"]["path"] or path.stem)
    old = page_path(made)
    if is_job:
        strips = write_page.strips(known, identity_evidence.load_all_evidence(sorted(path.glob("evidence-*.npz"))))
    elif old.is_file():
        strips = strips_from_html(old.read_text(encoding="utf-8", errors="replace"))
    target = common.output or old
    is_rebuilt = common.output is None and old.is_file() and not old.is_symlink() and document.is_page(old)
    may_replace = common.overwrite or is_rebuilt
    _may_write(target, made, overwrite=may_replace)
    write_page.write_page(target, known, [] if common.no_thumbnails else strips, overwrite=may_replace)
    _done(target, known, common)


def _compare(paths: list[Path], common: ReportOptions) -> None:
    from vidinv.report import compare_page

    if len(paths) < 2:
        raise UsageError("nothing to compare", remedy="give at least two outputs, as in compare a.mp4 b.mp4")
    target = common.output or Path("comparison.html")
    for path in paths:
        _may_write(target, path, overwrite=common.overwrite)
    reports = [(str(path), read_report(path)) for path in paths]
    page = compare_page.build_compare_page(reports)
    fileio.write_atomically(target, page, overwrite=common.overwrite, private=True)
    _done(target, {name: _headline(known) for name, known in reports}, common)


def _measure(source: Path, edited: Path, common: ReportOptions) -> None:
    from vidinv.backends import registry as backends
    from vidinv.cli.run import check_gate
    from vidinv.jobs import compare_videos as pairs
    from vidinv.jobs import request as requests
    from vidinv.jobs.request_files import page_path
    from vidinv.weights import cache

    given = {key: getattr(common, key) for key in ("faces", "backend", "boxes", "stream", "device")}
    config = configs.load_run_config(
        "balanced", common.changes, {key: value for key, value in given.items() if value is not None}
    )
    backend = backends.choose_backend(config.backend)
    pair = pairs.Pair(
        source,
        edited,
        common.output or page_path(edited),
        requests.settle(config, backend),
        backend,
        options.gate(common.min_identity, common.min_ic),
        thumbnails=not common.no_thumbnails,
        overwrite=common.overwrite,
    )
    pairs.check_pair(pair)
    cache.need(backend.watching, offline=common.offline, accept=common.accept_licences)
    with progress.show(common.show, quiet=common.quiet) as shown:
        found = pairs.run(pair, shown)
    _done(pair.page, found, common)
    check_gate(found["gate"], f"see {pair.page}")


def read_report(made: Path) -> dict[str, Any]:
    """Read the report of an output, or a report file. Raises InputUnreadable, as `report_file.read_report` does."""
    from vidinv.jobs.request_files import sidecar_path
    from vidinv.report import report_file

    return report_file.read_report(made if made.suffix == ".json" else sidecar_path(made))


def _headline(known: dict[str, Any]) -> dict[str, Any]:
    return {name: known["identity"][name] for name in ("arcface", "lightcnn")}


def _may_write(target: Path, source: Path, *, overwrite: bool) -> None:
    from vidinv.jobs.exclusive_outputs import check_output

    check_output(target, source, overwrite=overwrite)


def _done(target: Path, value: dict[str, Any], common: ReportOptions) -> None:
    if common.json_to is not None:
        json_target.write_json(value, common.json_to)
    if common.json_to != "-" and not common.quiet:
        print_line(f"made {target}")
