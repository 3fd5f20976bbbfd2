"""`vidinv batch`: edit a folder or a list of clips on this machine's cores or on a cluster."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidinv import config as configs
from vidinv.cli import json_target, options, progress
from vidinv.cli.run import resolve
from vidinv.config import RunConfig
from vidinv.errors import UsageError
from vidinv.terminal import print_line

if TYPE_CHECKING:
    from vidinv.batch.folder import BatchFolder
    from vidinv.batch.local_pool import WorkerPool
    from vidinv.batch.task import BatchOptions, TaskOrder
    from vidinv.batch.worker import WorkerOptions
    from vidinv.progress import ProgressDisplay


@options.grouped
def batch(
    given: Annotated[str, typer.Argument(metavar="FOLDER|LIST", help="Folder, pattern, or list (.csv, .yaml).")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="DIR", help="Output folder; a path or URL.")],
    edit: options.Edits = None,
    pattern: Annotated[
        str | None, typer.Option(metavar="GLOB", help="Files of a folder to edit, such as **/*.mp4.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="TEMPLATE", help="Output names, from {stem} {suffix} {name} {parent} {folder} {row} {edits}."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="Clips edited at once; 0: one per two cores.", min=0)] = 0,
    retries: Annotated[int, typer.Option(help="How often a failed clip is retried.", min=0)] = 2,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Retry clips that have failed permanently.")
    ] = False,
    overwrite: options.Overwrite = False,
    force: options.Force = False,
    preview: options.Preview = False,
    report: Annotated[bool, typer.Option("--report", help="Also write a report page per clip.")] = False,
    no_thumbnails: options.NoThumbnails = False,
    min_identity: options.MinIdentity = None,
    min_ic: options.MinIc = None,
    c2pa: options.C2pa = False,
    watermark: options.Watermark = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the estimated cost and stop.")] = False,
    split: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Split clips at cuts into parts of this length. Default: 60 on a cluster, else whole clips.",
            min=0,
        ),
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="ray[://ADDRESS]", help="Use a Ray cluster (extra \\[ray]).")
    ] = None,
    cores: Annotated[int, typer.Option(help="On a cluster: cores per worker.", min=1)] = 1,
    gpus: Annotated[float, typer.Option(help="On a cluster: GPUs per worker.", min=0)] = 0.0,
    memory: Annotated[int, typer.Option(metavar="MB", help="On a cluster: memory per worker.", min=1)] = 3000,
    *,
    common: options.Job,
) -> None:
    """Edit many clips; after an interruption the same command resumes the batch.

    A list has columns source, edits and name; any other column is an option of its row: quality, faces, mask.blur, ...
    The exit code is that of the most severe failure, in the order 1, 5, 7, 2, 3, 4, 6, or 0 if every clip is done.

    Example: vidinv batch clips/ -o older/ --edit age+2 --workers 2
    """
    from vidinv.batch import input_list, output_names, summary
    from vidinv.batch.task import BatchOptions

    if name is not None:
        output_names.check_template(name)
    gate = options.gate(min_identity, min_ic)
    asked = BatchOptions(
        preview=preview,
        report=report,
        thumbnails=not no_thumbnails,
        min_identity=gate.identity,
        min_ic=gate.ic,
        c2pa=c2pa,
        watermark=watermark,
        force=force,
        command=shlex.join(["vidinv", *sys.argv[1:]]),
    )
    if cluster is not None and not (cluster == "ray" or cluster.startswith("ray://")):
        raise UsageError(f"unknown --cluster {cluster!r}", remedy="give ray, or ray://HOST:PORT")
    needs: set[str] = set()
    orders = prepare_tasks(
        given, output, pattern, name or output_names.DEFAULT, edit or [], asked, overwrite, common, needs
    )
    if dry_run:
        print_estimate(orders, output, common)
        return
    from vidinv.batch import folder as batch_folder
    from vidinv.batch import worker

    begin, length = time.monotonic(), split if split is not None else 60.0 if cluster else 0.0
    if input_list.is_list(given):
        output_names.check_list(given)  # before the folder is made
    with (
        batch_folder.open_batch_folder(output) as opened,
        progress.show(common.show, quiet=common.quiet, unit="clips") as shown,
    ):
        opened.journal.enter(orders, again=retry_failed)
        fetch_weights(needs, common)
        opened.keep()
        terms = worker.WorkerOptions(output, length, tuple(sorted(needs)), common.offline, common.accept_licences)
        with ExitStack() as stack:
            pool = create_pool(opened, workers, cluster, (cores, gpus, memory), terms)
            stack.callback(pool.close)
            process_clips(opened, pool, retries + 1, length, shown)
        found = summary.build_summary(opened.journal, given, time.monotonic() - begin)
        page = summary.write_page(found, output)
        print_summary(found, page, opened, shown)
    if common.json_to is not None:
        json_target.write_json(found, common.json_to)
    if found["exit_code"]:
        raise typer.Exit(found["exit_code"])


def prepare_tasks(
    given: str,
    output: str,
    pattern: str | None,
    template: str,
    edits: list[str],
    asked: BatchOptions,
    overwrite: bool,
    common: options.Job,
    needs: set[str],
) -> Iterator[TaskOrder]:
    """Yield the task of each row, checked as far as possible without reading its clip.

    The names of the required weights are added to `needs`.
    """
    from vidinv.backends import registry as backends
    from vidinv.batch import input_list, output_names, storage
    from vidinv.batch.task import TaskOrder
    from vidinv.editing import strength_range
    from vidinv.jobs import check
    from vidinv.jobs.request import Request, touches_faces

    if not storage.is_url(given) and storage.is_folder(given) and Path(given).absolute() == Path(output).absolute():
        raise UsageError(f"the outputs would be written among the clips in {given}", remedy="choose another -o")

    @lru_cache(maxsize=256)
    def settled(own: tuple[tuple[str, str], ...], wanted: tuple[str, ...]) -> RunConfig:
        values = dict(own)
        mine = replace(common, quality=values.pop("quality", common.quality))
        changes = [*(common.changes or []), *(f"{key}={value}" for key, value in values.items())]
        config = configs.with_edits(resolve(replace(mine, changes=changes)), [*edits, *wanted])
        request = Request(Path(), Path(), config, preview=asked.preview)
        backend = backends.choose_backend(config.backend)
        check.check_networks(config, backend)
        found = check.resolve_edits(config.edits, backend)
        strength_range.check_strengths(found, force=asked.force)
        if touches_faces(request, found):
            needs.update(backend.all_needs)
        return config

    for row in input_list.read_rows(given, pattern, but=output):
        try:
            config = settled(row.options, row.edits)
            yield TaskOrder(
                row.number, row.source, output_names.output_name(row, row.name or template), config, asked, overwrite
            )
        except UsageError as error:
            raise UsageError(f"row {row.number} ({row.source}): {error.what}", remedy=error.remedy) from error


def fetch_weights(needs: set[str], common: options.Job) -> None:
    """Fetch the required weights into this machine's cache."""
    from vidinv.weights import cache

    cache.need(sorted(needs), offline=common.offline, accept=common.accept_licences)


def create_pool(
    place: BatchFolder, workers: int, cluster: str | None, needs: tuple[int, float, int], terms: WorkerOptions
) -> WorkerPool:
    """Create the worker pool: on the cluster if one is named, else on this machine."""
    if cluster is not None:
        from vidinv.batch.ray_pool import RayPool, WorkerResources

        return RayPool(cluster, workers, terms, WorkerResources(*needs))
    from vidinv.batch.local_pool import LocalPool
    from vidinv.process import cores as here

    held = () if place.held.lock is None else (place.held.lock,)
    return LocalPool(workers or max(1, here() // 2), terms, place.log, held)


def process_clips(place: BatchFolder, pool: WorkerPool, tries: int, split: float, shown: ProgressDisplay) -> None:
    """Process clips until none is pending; a progress bar counts the finished clips."""
    from vidinv.batch.driver import Driver

    counts = place.journal.counts()
    ended = counts["done"] + counts["failed"]
    shown.phase("batch", sum(counts.values()), ended)
    Driver(place.journal, pool, place.folder, place.held, tries, split, place.note, shown.advance, place.keep).run()


def print_summary(found: dict[str, Any], page: str, place: BatchFolder, shown: ProgressDisplay) -> None:
    """Print each failed clip with its error, and the totals."""
    for clip in place.journal.clips("failed"):
        shown.fail(f"failed: row {clip.row}, {clip.source}: {clip.error} (exit code {clip.code})")
    totals = found["totals"]
    warned = sum(bool(clip["figures"].get("warnings")) for clip in found["clips"])
    if warned:
        named = "1 clip has" if warned == 1 else f"{warned} clips have"
        shown.say(f"warning: {named} warnings; the reports beside the outputs tell them")
    again = "; retry them with --retry-failed" if totals["failed"] else ""
    last = shown.fail if totals["failed"] else shown.say
    last(f"{totals['done']} of {totals['clips']} clips done, {totals['failed']} failed{again}; see {page}")


def print_estimate(orders: Iterable[TaskOrder], output: str, common: options.Job) -> None:
    """Print the cost of every pending clip and their sum; exit with the most severe error of an unreadable clip."""
    from dataclasses import asdict

    from vidinv.batch import estimate, journal, storage, summary
    from vidinv.process import cores

    known = None if storage.is_url(output) else Path(output) / journal.NAME
    draft = journal.BatchJournal.draft(known)
    draft.enter(orders)
    found = []
    while (order := draft.take()) is not None:
        found.append(estimate.estimate_clip(order))
    seconds, megabytes = sum(each.seconds for each in found), sum(each.megabytes for each in found)
    for each in found:
        text = each.error or f"{each.frames} frames, about {each.seconds / 60:.1f} min and {each.megabytes:.1f} MB"
        print_line(f"{each.row}: {each.source} -> {each.name}: {text}")
    hours = seconds * 2 / cores() / 3600
    print_line(
        f"{len(found)} clips, {sum(each.frames for each in found)} frames; about {hours:.1f} h on this machine's "
        f"{cores()} cores, {megabytes:.0f} MB of outputs and as much again for temporary files"
    )
    if common.json_to is not None:
        totals = {"clips": len(found), "hours": round(hours, 3), "megabytes": round(megabytes, 3), "cores": cores()}
        json_target.write_json({"totals": totals, "clips": [asdict(each) for each in found]}, common.json_to)
    code = summary.worst_exit_code(each.code for each in found if each.code)
    if code:
        raise typer.Exit(code)
