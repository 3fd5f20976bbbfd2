"""Isolated stages: measure the CPU time of every stage running alone, on the Works that it receives in the job.

The whole clip passes one stage after the other: each stage runs on the recorded output of the one before it, in one
thread, without queues and without a decoder or encoder in parallel. The comparison is between the CPU seconds of a
stage's own thread in the job and alone. With one thread (`--set threads=1`) torch works in that thread, and the figure
of a stage is exact. With more threads, torch's pool, the codecs' threads and those that draw faces are not included,
and only the sum over all threads and stages, `total`, shows what the job adds. The first pass is one stage, whose CPU
seconds are those of all threads.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidinv.analysis import first_pass
from vidinv.bench.end_to_end import MeasuredRun
from vidinv.config import RunConfig
from vidinv.frames import Work
from vidinv.jobs import render, video_job
from vidinv.jobs.job import AnalyzedJob, OpenJob
from vidinv.jobs.request import Request
from vidinv.media import reader
from vidinv.process import restored_threads, use_threads
from vidinv.progress import SilentProgress
from vidinv.stages import decode

FRAMES = 300  # longer clips are not measured, because all their Works are in memory
SMALL = 0.01  # share of the CPU time below which a stage's surplus is noise


@dataclass(frozen=True)
class IsolatedCost:
    """CPU seconds of the stages running alone: by stage of its own thread, and in total of all threads."""

    frames: int
    stages: dict[str, float]
    total: float


class _Spent:
    """Accumulates CPU seconds by stage."""

    def __init__(self) -> None:
        self.thread: dict[str, float] = {}
        self.total = 0.0

    @contextmanager
    def by(self, name: str) -> Iterator[None]:
        own, every = time.thread_time(), time.process_time()
        yield
        self.thread[name] = time.thread_time() - own
        self.total += time.process_time() - every


def run(source: Path, config: RunConfig, finish: Callable[[AnalyzedJob], None] = lambda job: None) -> IsolatedCost:
    """Run the job stage by stage; the clip should have at most FRAMES frames.

    `finish` is called with the job before its folder is deleted.
    """
    spent = _Spent()
    with tempfile.TemporaryDirectory() as folder:
        request = Request(source, Path(folder) / f"out{source.suffix}", config)
        with video_job.open_job(request) as opened:
            job = video_job.analyze_job(opened, SilentProgress())
            _first_pass(opened, Path(folder), spent)
            _second_pass(job, spent)
            finish(job)
            opened.folder.delete()
    return IsolatedCost(job.analysis.frame_count, spent.thread, spent.total)


def _first_pass(job: OpenJob, folder: Path, spent: _Spent) -> None:
    config, source, shards = job.config, job.request.source, folder / "alone"
    shards.mkdir()

    def frames(first: int) -> Iterator[Any]:
        return reader.read_frames(source, batch=config.batch, first=first, reader=config.reader)

    locate = job.backend.locator(config.landmarks)
    before = spent.total
    with spent.by("analyse"):
        first_pass.analyse(
            frames, locate, shards, config, job.checked.info.rotation, lambda count: None, given=job.given
        )
    spent.thread["analyse"] = spent.total - before


def _second_pass(job: AnalyzedJob, spent: _Spent) -> None:
    plan = decode.batches(job.segments, job.analysis.shots, job.config.batch)
    flow = render.build_render_graph(job, plan, lambda count: None)
    with spent.by("decode"):
        works = list(flow.source)
    with restored_threads():
        use_threads(render.lane_threads(job, flow.stages))
        for name, stage in flow.stages:
            with spent.by(name):
                works = list(stage(_each(works)))
    with spent.by("reencode"):
        for work in works:
            flow.recorder(work)


def _each(works: list[Work]) -> Iterator[Work]:
    yield from works


def compare_costs(jobs: Sequence[MeasuredRun], alone: Sequence[IsolatedCost]) -> dict[str, Any]:
    """CPU milliseconds per frame in the job and alone, each the least of its repeats, and the relative surplus.

    Returns `stages` {name: {cpu_ms, alone_cpu_ms, over}}, `total`, the same for all threads, and `largest`, the stage
    with the largest surplus among those with at least SMALL of the CPU time.
    """
    frames = jobs[0].frames
    found = {
        name: _pair(
            min(each.stages[name]["cpu_s"] for each in jobs) / frames, min(each.stages[name] for each in alone) / frames
        )
        for name in alone[0].stages
    }
    total = _pair(min(each.cpu_s for each in jobs) / frames, min(each.total for each in alone) / frames)
    large = {name: row["over"] for name, row in found.items() if row["cpu_ms"] >= SMALL * total["cpu_ms"]}
    name = max(large, key=lambda each: large[each])
    return {"stages": found, "total": total, "largest": {"stage": name, "over": large[name]}}


def _pair(inside: float, alone: float) -> dict[str, float]:
    """The figures of one stage from its seconds per frame in the job and alone."""
    over = round(inside / max(alone, 1e-9) - 1, 3)
    return {"cpu_ms": round(1e3 * inside, 2), "alone_cpu_ms": round(1e3 * alone, 2), "over": over}
