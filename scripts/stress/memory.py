"""Measure how a run's memory grows with the clip's length, on a simulated clip with the real passes, graph and report.

python -m scripts.stress.memory [--minutes 60] [--from 5] [--json FILE]

Frames of 32x32 pixels at 30 frames/s with one face on each, found, encoded and measured by stand-ins that give as much
as the real networks do (landmarks, embeddings, a row of measures); so what grows is what the run keeps of each frame.
For every phase: the resident memory when it began, at `--from` minutes of the clip, at its end and at its peak.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from vidinv import config as configs
from vidinv.analysis import face_tracks, first_pass
from vidinv.backends import registry as backends
from vidinv.backends.interface import Locate, LocatedFaces
from vidinv.frames import (
    Array,
    Colour,
    Evidence,
    FaceBatch,
    FaceMetrics,
    FrameBatch,
    IdentitySimilarity,
    PictureValues,
    Planes,
    Work,
)
from vidinv.jobs import quality_summary
from vidinv.jobs.check import resolve_edits
from vidinv.jobs.job_folder import JobFolder
from vidinv.jobs.journal import Journal
from vidinv.jobs.quality_summary import MeasuredFaces
from vidinv.jobs.request_files import sidecar_path
from vidinv.process import tune_process
from vidinv.report import sidecar
from vidinv.report.gate import Gate
from vidinv.stages import decode, graph, reencode

RATE = 30
PAGE = 4096
MEASURED = ("confidence", "trust", "faded_confidence", "residual", "skin_cover", "sharpness", "face_px")
WITNESSED = ("psnr", "ssim", "lpips", "mask_area", "hidden")
PICTURES = ("source", "inversion", "edit")


def megabytes() -> float:
    """Resident memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6


class Phase:
    """Samples the memory while it is open; `done(frames)` counts frames up to the mark."""

    def __init__(self, name: str, mark: int) -> None:
        self.name, self.mark, self.frames = name, mark, 0
        self.facts = {"begin": 0.0, "mark": 0.0, "end": 0.0, "peak": 0.0, "seconds": 0.0}
        self.over = threading.Event()

    def __enter__(self) -> Phase:
        self.facts["begin"], self.start = megabytes(), time.monotonic()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.facts["end"], self.facts["seconds"] = megabytes(), time.monotonic() - self.start
        self.over.set()
        self.thread.join()
        self.facts = {name: round(value, 1) for name, value in self.facts.items()}
        print(self.name, self.facts, file=sys.stderr, flush=True)

    def done(self, frames: int) -> None:
        self.frames += frames
        if not self.facts["mark"] and self.frames >= self.mark:
            self.facts["mark"] = megabytes()

    def _watch(self) -> None:
        while not self.over.wait(0.05):
            self.facts["peak"] = max(self.facts["peak"], megabytes())


def frames(count: int, first: int = 0) -> Iterator[FrameBatch]:
    """Frames that differ a little; each minute begins a shot."""
    chroma = np.full((16, 16), 128, np.uint8)
    for index in range(first, count):
        luma = np.full((32, 32), 60 if index // (60 * RATE) % 2 else 190, np.uint8)
        planes = Planes((luma, chroma, chroma), "yuv420p", 1, 1, 8)
        yield FrameBatch((planes,), Colour("bt709", False), (index,), Fraction(1, RATE), (index,))


def locator() -> Locate:
    """One face in the middle, with an embedding of 512 numbers."""
    shape = backends.BACKENDS["tiny"].locator("2d106")
    chance = np.random.default_rng(0)
    person = chance.normal(size=512)

    def locate(rgb: Array, rotation: int, boxes: Array | None) -> LocatedFaces:
        found = shape(rgb, rotation, boxes)
        seen = (person + 0.3 * chance.normal(size=512)).astype(np.float32)
        return replace(found, embeddings=(seen / np.linalg.norm(seen))[None])

    return locate


def measured(works: Iterator[Work]) -> Iterator[Work]:
    """A stage that gives every frame a face with what is measured of it."""
    import torch

    chance = np.random.default_rng(1)
    face = FaceBatch(
        torch.zeros(1, 3, 8, 8),
        torch.zeros(1, dtype=torch.int64),
        torch.zeros(1, dtype=torch.int64),
        torch.zeros(1, 2, 3),
    )
    for work in works:
        count = len(work.frames)
        faces = FaceBatch(
            face.image.expand(count, -1, -1, -1),
            torch.arange(count),
            face.track.expand(count),
            face.to_frame.expand(count, -1, -1),
        )
        rows, found = [], []
        for position in range(count):
            is_seen = work.nth(position) % 5 == 0
            names = (*MEASURED, *(WITNESSED if is_seen else ()))
            numbers: dict[str, Any] = {name: 0.8 + 0.1 * chance.random() for name in names}
            networks = {"arcface": 512, "lightcnn": 256} if is_seen else {"arcface": 512}
            similarity = {name: IdentitySimilarity(*(0.8 + 0.1 * chance.random(2)).tolist()) for name in networks}
            attributes = {"age": PictureValues(*(30 + chance.random(3)).tolist())} if is_seen else {}
            rows.append(FaceMetrics(**numbers, rect=(4, 4, 28, 28), similarity=similarity, attributes=attributes))
            vectors = {name: like(size, chance) for name, size in networks.items()}
            found.append(Evidence(work.frames.index[position], 0, PICTURES, vectors))
        yield replace(work, faces=faces, metrics=tuple(rows), evidence=tuple(found))


def like(size: int, chance: np.random.Generator) -> Array:
    """Three embeddings [3, size] of one person, of unit length."""
    near = 1 + 0.3 * chance.normal(size=(3, size)).astype(np.float32)
    return np.asarray(near / np.linalg.norm(near, axis=1, keepdims=True))


class Bytes:
    """A writer of video that writes a few bytes a frame."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb")

    def write(self, planes: Planes, pts: int) -> None:
        self.file.write(planes.planes[0][0].tobytes())

    def close(self) -> None:
        self.file.close()


def simulated(folder: Path, minutes: float, mark: float) -> dict[str, dict[str, float]]:
    """Run the passes over a clip of so many minutes; what each phase took, with the memory at `mark` minutes."""
    count, config = round(minutes * 60 * RATE), configs.load_run_config("balanced", ["backend=tiny"])
    phases: dict[str, dict[str, float]] = {}

    def phase(name: str, work: Callable[[Phase], Any]) -> Any:
        with Phase(name, round(mark * 60 * RATE)) as opened:
            made = work(opened)
        phases[name] = opened.facts
        return made

    with JobFolder(folder / "out.mp4") as job:
        look = lambda first: frames(count, first)  # noqa: E731
        seen = phase("analyse", lambda p: first_pass.analyse(look, locator(), job.path, config, 0, p.done))
        moves = resolve_edits(["age+3"], backends.choose_backend("tiny"))
        backend, clip = backends.choose_backend("tiny"), folder / "in.mp4"
        analysis, moves = phase("link", lambda p: face_tracks.link_tracks(seen, config, backend, clip, moves))
        segments = decode.segments(analysis.pts, analysis.time_base, config.segment_seconds, 0, count)
        plan = decode.batches(segments, analysis.shots, config.batch)
        journal = Journal(job.path)

        def render(p: Phase) -> None:
            works = decode.decode(frames(count), plan, analysis.shots, segments)
            recorder = reencode.Recorder(journal, segments, Bytes, None, None, p.done)
            graph.run([("measure", measured)], ("decode", works), ("reencode", recorder))

        def report(p: Phase) -> None:
            records = journal.finished()
            known = MeasuredFaces([face for record in records for face in record.faces], job.evidence(records))
            made = quality_summary.summarize(analysis, analysis.tracks, range(count), moves, known, Gate())
            sidecar.write_report(sidecar_path(job.output), made)

        phase("render", render)
        phase("report", report)
    return phases


def table(phases: dict[str, dict[str, float]], minutes: float, mark: float) -> str:
    lines = [f"| phase | begin | at {mark:g} min | at {minutes:g} min | peak |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, facts in phases.items():
        cells = [f"{facts[key]:.0f} MB" if facts[key] else "" for key in ("begin", "mark", "end", "peak")]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--from", type=float, default=5.0, dest="mark")
    parser.add_argument("--json", type=Path, dest="json_to")
    args = parser.parse_args()
    tune_process()
    with tempfile.TemporaryDirectory() as name:
        phases = simulated(Path(name), args.minutes, args.mark)
    print(table(phases, args.minutes, args.mark))
    if args.json_to is not None:
        args.json_to.write_text(json.dumps(phases, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
