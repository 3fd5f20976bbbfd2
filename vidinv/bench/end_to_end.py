"""End to end: run the main job once and measure its time, CPU time per stage, memory and floating-point operations."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import platform
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch.utils.flop_counter import FlopCounterMode

from vidinv import process
from vidinv.config import RunConfig
from vidinv.jobs import video_job
from vidinv.jobs.request import Request, encoder_options
from vidinv.jobs.timing import Clock
from vidinv.media import reader
from vidinv.media.probe import probe
from vidinv.media.writer import SegmentWriter


@dataclass(frozen=True)
class MeasuredRun:
    """The cost of a run of `frames` in seconds: wall time, CPU time of all cores, and by stage as in its report."""

    frames: int
    wall_s: float
    cpu_s: float
    stages: dict[str, dict[str, float]]

    @property
    def utilisation(self) -> float:
        """The share of the available cores' time in which they worked."""
        return self.cpu_s / self.wall_s / process.cores()

    def by_stage(self) -> dict[str, dict[str, float]]:
        """By stage: ms per frame of busy time and of its thread's CPU time, and its share of the wall time."""
        return {
            name: {
                "ms_per_frame": round(1e3 * took["busy_s"] / self.frames, 2),
                "thread_ms_per_frame": round(1e3 * took["cpu_s"] / self.frames, 2),
                "occupancy": round(took["busy_s"] / self.wall_s, 3),
                "wait_s": took["wait_s"],
            }
            for name, took in self.stages.items()
        }


def run(source: Path, config: RunConfig, keep: Path | None = None) -> MeasuredRun:
    """Run the job into a temporary folder, or to the file `keep`, and measure it."""
    with tempfile.TemporaryDirectory() as folder:
        output = keep or Path(folder) / f"out{source.suffix}"
        report = video_job.run(Request(source, output, config))
    timing = report["timing"]
    return MeasuredRun(report["frames"], timing["wall_s"], timing["cpu_s"], timing["stages"])


def counted(source: Path, config: RunConfig) -> tuple[MeasuredRun, float]:
    """Run the job, and count its networks' floating-point operations per frame (two per multiply-add).

    torch counts those of convolutions and matrix products, forward and backward, which are nearly all. It counts in one
    thread only, so the run uses eager torch and one thread, whatever `config` says, and is slower.
    """
    with FlopCounterMode(display=False) as counter:
        measured = run(source, replace(config, engine="eager", threads=1))
    return measured, counter.get_total_flops() / measured.frames


def media_alone(source: Path, config: RunConfig) -> dict[str, float]:
    """Frames per second of the reader and of the writer, each running alone."""
    reading = Clock.now()
    batches = list(reader.read_frames(source, batch=config.batch, reader=config.reader))
    read = reading.busy()["busy_s"]
    frames = sum(map(len, batches))
    info = probe(source)
    with tempfile.TemporaryDirectory() as folder:
        path, writing = Path(folder) / "out.segment", Clock.now()
        with SegmentWriter(path, info, encoder_options(config, source), suffix=source.suffix.lower()) as writer:
            for batch in batches:
                for planes, pts in zip(batch.native, batch.pts, strict=True):
                    writer.write(planes, pts)
        written = writing.busy()["busy_s"]
    return {"reader_frames_per_s": round(frames / read, 1), "writer_frames_per_s": round(frames / written, 1)}


def forget_peak() -> None:
    """Return free memory to the system and reset the peak of memory; only on Linux with glibc, else it does nothing."""
    gc.collect()
    if platform.system() == "Linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
        with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as marks:
            marks.write("5")  # proc(5): the peak of the resident set


def spread(values: list[float]) -> dict[str, float]:
    """The minimum, median and maximum of a figure over its repeats."""
    ordered = sorted(values)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return {"min": round(ordered[0], 4), "median": round(middle, 4), "max": round(ordered[-1], 4)}


def as_json(measured: list[MeasuredRun]) -> dict[str, Any]:
    """The repeats of a run as JSON values; the stages are those of the fastest repeat."""
    return {
        "frames": measured[0].frames,
        "frames_per_s": spread([each.frames / each.wall_s for each in measured]),
        "cpu_s_per_frame": spread([each.cpu_s / each.frames for each in measured]),
        "cpu_utilisation": spread([each.utilisation for each in measured])["median"],
        "stages": min(measured, key=lambda each: each.wall_s).by_stage(),
    }
