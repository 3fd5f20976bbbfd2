"""Scaling: measure how the cost of a frame changes with the clip's length, its frame size and the number of faces."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from vidinv import process
from vidinv.backends import registry as backends
from vidinv.bench import end_to_end
from vidinv.config import RunConfig
from vidinv.frames import Array

RATE = 25
LENGTHS = (10.0, 30.0, 120.0)  # seconds
SIDES = (256, 512, 1024)  # pixels of a frame with one face
FACES = (1, 2, 4)
SHORT = 2.0  # seconds of the clips that differ in frame size and number of faces


@dataclass(frozen=True)
class RunCost:
    """The total cost of a run of `frames`, and the peak memory of the process during it."""

    frames: int
    cpu_s: float
    wall_s: float
    memory_mb: int


def measure(
    source: Path, config: RunConfig, lengths: Sequence[float] = LENGTHS, short: float = SHORT
) -> dict[str, Any]:
    """Measure runs of clips of each length, frame size and number of faces, made of `source` played back and forth.

    `by_length` includes the fit of CPU seconds = start + frames * each and its largest relative error. `faces_fit` is
    the fit of the CPU seconds of a frame = start + faces * each.
    """
    backends.keep_networks_loaded()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        run(source, place, config, short, 384, 1)  # loads and compiles
        by_length = {seconds: run(source, place, config, seconds, 384, 1) for seconds in sorted(lengths)}
        by_side = {side: run(source, place, config, short, side, 1) for side in SIDES}
        by_faces = {faces: run(source, place, config, short, 384, faces) for faces in FACES}
    return {
        "by_length": {"runs": _rows(by_length), **fit(list(by_length.values()))},
        "by_side": _rows(by_side),
        "by_faces": _rows(by_faces),
        "faces_fit": linear(list(by_faces), [each.cpu_s / each.frames for each in by_faces.values()]),
    }


def fit(costs: Sequence[RunCost]) -> dict[str, float]:
    """Fit the CPU seconds of the start and of each frame; also returns the largest relative error."""
    found = linear([each.frames for each in costs], [each.cpu_s for each in costs])
    return {
        "start_cpu_s": round(found["start_cpu_s"], 3),
        "frame_cpu_ms": round(1e3 * found["each_cpu_s"], 2),
        "largest_deviation": round(found["largest_deviation"], 4),
    }


def linear(counts: Sequence[int], cpu_s: Sequence[float]) -> dict[str, float]:
    """Fit CPU seconds = start + count * each by least squares of relative errors; also returns the largest error."""
    count, cpu = np.array(counts, float), np.array(cpu_s)
    basis = np.stack([1 / cpu, count / cpu], 1)  # relative errors give short and long runs equal weight
    (start, each), *_ = np.linalg.lstsq(basis, np.ones(len(count)), rcond=None)
    off = np.abs((start + each * count) / cpu - 1).max()
    found = {"start_cpu_s": start, "each_cpu_s": each, "largest_deviation": off}
    return {key: round(float(value), 6) for key, value in found.items()}


def run(source: Path, folder: Path, config: RunConfig, seconds: float, side: int, faces: int) -> RunCost:
    """The cost of a clip of `seconds`, with `faces` faces, each on a square of `side` pixels."""
    clip = folder / f"{seconds:g}s-{side}-{faces}.mp4"
    write_clip(clip, source, round(seconds * RATE), side, faces)
    end_to_end.forget_peak()
    measured = end_to_end.run(clip, replace(config, faces="all" if faces > 1 else config.faces))
    clip.unlink()
    return RunCost(measured.frames, measured.cpu_s, measured.wall_s, process.peak_memory_mb())


def write_clip(path: Path, source: Path, count: int, side: int, faces: int) -> None:
    """Write a clip of `count` frames: the source played back and forth, tiled `faces` times with two in a row."""
    columns = min(faces, 2)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE, options={"crf": "18", "preset": "veryfast"})
        stream.width, stream.height = side * columns, side * (faces // columns)
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, RATE)
        for index, picture in enumerate(itertools.islice(_back_and_forth(source, side), count)):
            tiled = np.tile(picture, (faces // columns, columns, 1))
            frame = av.VideoFrame.from_ndarray(tiled, format="rgb24").reformat(format="yuv420p")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _back_and_forth(source: Path, side: int) -> Iterator[Array]:
    """The source's first frames [side,side,3], cropped to a square and played back and forth endlessly."""
    with av.open(str(source)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in itertools.islice(container.decode(video=0), 100)]
    short = min(frames[0].shape[:2])
    top, left = ((length - short) // 2 for length in frames[0].shape[:2])
    squares = [frame[top : top + short, left : left + short] for frame in frames]
    pictures = [cv2.resize(each, (side, side), interpolation=cv2.INTER_AREA) for each in squares]
    return itertools.cycle([*pictures, *pictures[-2:0:-1]])


def _rows(costs: dict[Any, RunCost]) -> dict[str, dict[str, float]]:
    return {
        f"{key:g}": {
            "frames": each.frames,
            "cpu_ms_per_frame": round(1e3 * each.cpu_s / each.frames, 2),
            "frames_per_s": round(each.frames / each.wall_s, 3),
            "memory_mb": each.memory_mb,
        }
        for key, each in costs.items()
    }
