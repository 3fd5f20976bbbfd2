"""Perform one task of a batch on a worker, from its source to its output in the batch's folder."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from vidinv import config as configs
from vidinv import fileio
from vidinv.batch import storage
from vidinv.batch.folder import EXCHANGE
from vidinv.batch.remote_files import RemoteFiles
from vidinv.batch.task import Outcome, Task, TaskOrder
from vidinv.errors import InputUnreadable, QualityGateMissed
from vidinv.exit_codes import exit_code_and_message
from vidinv.jobs import job_folder as folders
from vidinv.jobs import split_merge, video_job
from vidinv.jobs.finalize import package_versions
from vidinv.jobs.job_folder import BeingWritten
from vidinv.jobs.request import Request
from vidinv.jobs.request_files import sidecar_path
from vidinv.media.probe import probe
from vidinv.progress import LogLines, Progress
from vidinv.report import gate, report_file
from vidinv.report.gate import Gate

Made = TypeVar("Made")
PATIENCE = 60.0  # seconds to wait for a worker of a killed batch to release an output
MACHINE_SETTINGS = (
    "threads",
    "device",
    "engine",
    "precision",
    "c2pa",
)  # settings whose resolved values in a report differ from the request


def perform(task: Task, folder: str, split: float = 0.0) -> Outcome:
    """Perform a task of the batch with outputs in `folder`, a path or URL; parts last at least `split` seconds.

    An Exception becomes the code and the error line of the outcome.
    """
    progress, begin = LogLines(), time.monotonic()
    try:
        outcome = _wait_for_output(lambda: _STEPS[task.step](task, folder, progress, split))
    except Exception as error:
        outcome = Outcome(*exit_code_and_message(error))
    return replace(outcome, seconds=round(time.monotonic() - begin, 3), log=tuple(progress.lines))


def exchange_folder(folder: str, name: str = "") -> str:
    """The folder where workers exchange the parts of the output `name` (empty: of all outputs)."""
    return storage.join(folder, f"{EXCHANGE}/{quote(os.fsencode(name), safe='')}").rstrip("/")


def _whole(task: Task, folder: str, progress: Progress, split: float) -> Outcome:
    with _place_clip(task.order, folder) as placed:
        known = _finished_report(task.order, placed)
        if known is None:
            placed.check()
            known = video_job.run(placed.request, progress)
            placed.publish(known)
    return _outcome(known, placed.request)


def _plan(task: Task, folder: str, progress: Progress, split: float) -> Outcome:
    """Analyse the clip and upload the plan for its parts; a clip too short for two parts is processed at once."""
    with _place_clip(task.order, folder) as placed:
        known = _finished_report(task.order, placed)
        if known is None:
            placed.check()
        if known is None and probe(placed.request.source, placed.request.config.stream).duration_s < 2 * split:
            known = video_job.run(placed.request, progress)
            placed.publish(known)
        if known is not None:
            return _outcome(known, placed.request)
        parts = split_merge.plan_parts(placed.request, progress, split)
        storage.make_private_folder(exchange_folder(folder))
        for path in split_merge.planned_files(placed.job):
            storage.upload(path, storage.join(exchange_folder(folder, task.order.name), f"plan/{path.name}"))
    return Outcome(0, parts=tuple(parts))


def _part(task: Task, folder: str, progress: Progress, split: float) -> Outcome:
    """Render a part and upload it; its journal comes last and marks the part as done."""
    there = exchange_folder(folder, task.order.name)
    target = storage.join(there, _part_name(task.segments))
    if "journal.jsonl" in storage.names(target):
        return Outcome(0)
    with tempfile.TemporaryDirectory(prefix="vidinv-") as scratch, _local(task.order, Path(scratch)) as source:
        request = _request(task.order, source, Path(scratch) / Path(task.order.name).name)
        _restore(storage.join(there, "plan"), folders.JobFolder(request.output).path)
        made = split_merge.render_part(request, task.segments, progress)
        for path in split_merge.rendered_files(made):
            storage.upload(path, storage.join(target, path.name))
    return Outcome(0)


def _gather(task: Task, folder: str, progress: Progress, split: float) -> Outcome:
    there = exchange_folder(folder, task.order.name)
    with _place_clip(task.order, folder) as placed, tempfile.TemporaryDirectory(prefix="vidinv-") as scratch:
        known = _finished_report(task.order, placed)
        if known is None:
            if not placed.job.exists():
                with folders.JobFolder(placed.request.output):
                    _restore(storage.join(there, "plan"), placed.job)
            made = []
            for part in task.parts:
                made.append((part, Path(scratch) / _part_name(part)))
                _restore(storage.join(there, _part_name(part)), made[-1][1])
            known = split_merge.gather(placed.request, made, progress)
            placed.publish(known)
        storage.remove(there)
    return _outcome(known, placed.request)


_STEPS: dict[str, Callable[[Task, str, Progress, float], Outcome]] = {
    "whole": _whole,
    "plan": _plan,
    "part": _part,
    "gather": _gather,
}


@dataclass(frozen=True)
class _PlacedClip:
    """A clip's request on this machine, and functions that check and publish its files in the batch's folder."""

    request: Request
    check: Callable[[], None]
    publish: Callable[[dict[str, Any]], None]

    @property
    def job(self) -> Path:
        return folders.JobFolder(self.request.output).path


@contextmanager
def _place_clip(order: TaskOrder, folder: str) -> Iterator[_PlacedClip]:
    """Yield the request with an output in the batch's folder, or in a temporary folder if the batch's is a URL."""
    with tempfile.TemporaryDirectory(prefix="vidinv-") as scratch, _local(order, Path(scratch)) as source:
        if not storage.is_url(folder):
            output = Path(folder) / order.name
            with fileio.writing(output.parent):
                output.parent.mkdir(parents=True, exist_ok=True)
            yield _PlacedClip(_request(order, source, output), lambda: None, lambda report: None)
            return
        output = Path(scratch) / "made" / Path(order.name).name
        output.parent.mkdir()
        request, above = _request(order, source, output), storage.join(folder, order.name).rpartition("/")[0]
        _fetch_known(request, above)

        record = f"{exchange_folder(folder, order.name)}.published"
        remote = RemoteFiles(above, record, order.overwrite)

        def check() -> None:
            remote.check(path for each in (request, request.below_gate()) for path in each.files().paths())

        def publish(report: dict[str, Any]) -> None:
            remote.publish(_written_files(request, report))

        yield _PlacedClip(request, check, publish)


def _fetch_known(request: Request, above: str) -> None:
    """Fetch the files that an earlier worker may have published, for `_finished_report`."""
    known = storage.names(above)
    for place in (request, request.below_gate()):
        files = place.files().paths()
        if all(path.name in known for path in files):
            for path in files:
                storage.fetch(storage.join(above, path.name), path)


@contextmanager
def _local(order: TaskOrder, scratch: Path) -> Iterator[Path]:
    """Yield the order's source as a local file."""
    if not storage.is_url(order.source):
        yield Path(order.source)
        return
    source = scratch / "source" / order.source.rpartition("/")[2]
    source.parent.mkdir()
    storage.fetch(order.source, source)
    yield source


def _request(order: TaskOrder, source: Path, output: Path) -> Request:
    options = order.options
    return Request(
        source=source,
        output=output,
        config=order.config,
        overwrite=order.overwrite,
        preview=options.preview,
        report=options.report,
        thumbnails=options.thumbnails,
        gate=Gate(options.min_identity, options.min_ic),
        command=options.command,
        c2pa=options.c2pa,
        watermark=options.watermark,
        force=options.force,
    )


def _restore(there: str, target: Path) -> None:
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in storage.names(there):
        storage.fetch(storage.join(there, name), target / name)


def _finished_report(order: TaskOrder, placed: _PlacedClip) -> dict[str, Any] | None:
    """The report of a clip that was finished by a batch which was killed before it recorded that; None otherwise.

    All files of the order must exist, made from the same source bytes with the same settings and versions, and the
    output must have the digest of the report.
    """
    if folders.JobFolder(placed.request.output).is_begun:
        return None
    for request in (placed.request, placed.request.below_gate()):
        if not all(path.exists() for path in request.files().paths()):
            continue
        try:
            report = report_file.read_report(sidecar_path(request.output))
            wanted = {key: value for key, value in configs.plain(order.config).items() if key not in MACHINE_SETTINGS}
            same = wanted == {key: value for key, value in report["settings"].items() if key not in MACHINE_SETTINGS}
            same = same and report["versions"] == package_versions()
            same = same and report["input"]["sha256"] == fileio.content_sha256(request.source)
            if same and report["output"]["sha256"] == fileio.content_sha256(request.output):
                return report
        except (OSError, InputUnreadable, KeyError):
            continue
    return None


def _outcome(report: dict[str, Any], request: Request) -> Outcome:
    figures = _figures(report, request)
    verdict = report["gate"]
    if verdict is not None and not verdict["passed"]:
        missed = QualityGateMissed(
            f"the identity gate was missed: {gate.describe_misses(verdict)}",
            remedy=f"kept as {report['output']['path']}",
        )
        return Outcome(missed.exit_code, str(missed), figures)
    return Outcome(0, figures=figures)


def _figures(report: dict[str, Any], request: Request) -> dict[str, Any]:
    """The figures of a clip in the summary."""
    arcface, lightcnn = report["identity"]["arcface"], report["identity"]["lightcnn"]
    return {
        "frames": report["frames"],
        "faces": report["faces"],
        "arcface": arcface["edit_mean"],
        "arcface_min": arcface["edit_min"],
        "ic": arcface["ic"]["edit"],
        "lightcnn": lightcnn["edit_mean"],
        "inversion": arcface["inversion_mean"],
        "flags": len(report["flags"]),
        "warnings": len(report["warnings"]),
        "files": [path.name for path in _written_files(request, report)],
    }


def _written_files(request: Request, report: dict[str, Any]) -> list[Path]:
    verdict = report["gate"]
    return (request if verdict is None or verdict["passed"] else request.below_gate()).files().paths()


def _part_name(part: tuple[int, int]) -> str:
    return f"part-{part[0]:05d}-{part[1]:05d}"


def _wait_for_output(do: Callable[[], Made]) -> Made:
    """Return what `do` returns; wait for a worker of a killed batch that still writes the output."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return do()
        except BeingWritten:
            if time.monotonic() > until:
                raise
        time.sleep(0.5)
