"""Measure accuracy and cost of detecting faces on every k-th frame only and following their landmarks between.

python -m scripts.experiments.detection_interval CLIP... [--every 1 2 5 10] [--frames 100] [--json FILE]

Against detection on every frame, on the frames that show the same face in both: the RMS distance of the 106 landmarks
and of the crop's smoothed corners, in percent of the distance of the eyes; faces that are lost; CPU seconds a frame.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from vidinv import config as configs
from vidinv.analysis import first_pass
from vidinv.backends import registry as backends
from vidinv.backends.interface import Locate
from vidinv.faces import similarity
from vidinv.faces.landmarks import five_points
from vidinv.faces.tracker import Tracker
from vidinv.frames import Array, Track
from vidinv.media import reader
from vidinv.process import tune_process


@dataclass(frozen=True)
class IntervalRow:
    """One clip at one interval."""

    clip: str
    every: int
    faces: int  # in tracks, of all people
    lost: int  # seen with detection on every frame, and not here
    tracks: int
    landmarks: float  # RMS, percent of the distance of the eyes; the same for the next two
    landmarks_worst: float  # of a frame
    corners: float
    cpu_ms: float  # a frame


def followed(clip: Path, locate: Locate, every: int, frames: int) -> tuple[list[Track], float]:
    """The tracks of the clip's first frames, and the CPU seconds that a frame took."""
    config = configs.load_run_config("fast", [f"detect_every={every}", "batch=1"])
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        read = lambda first: islice(reader.read_frames(clip, batch=1, first=first), frames)  # noqa: E731
        seen = first_pass.analyse(read, locate, Path(folder), config, 0, lambda done: None)
        spent = time.process_time() - started
        return Tracker().link(seen.faces, seen.shots), spent / len(seen.pts)


def compared(clip: Path, every: int, exact: Sequence[Track], found: Sequence[Track], seconds: float) -> IntervalRow:
    """A row of the table: `found` against the tracks of every frame's detection."""
    where = {(frame, k): k for k, track in enumerate(found) for frame in track.frames.tolist()}
    lost, points, corners = 0, [], []
    for track in exact:
        mine = max(range(len(found)), key=lambda k: float(found[k].embedding @ track.embedding), default=None)
        for at, frame in enumerate(track.frames.tolist()):
            if mine is None or (frame, mine) not in where:
                lost += 1
                continue
            there = int(np.searchsorted(found[mine].frames, frame))
            left, right = five_points(track.landmarks[at])[:2]
            unit = float(np.hypot(*(right - left)))
            points.append(_apart(track.landmarks[at], found[mine].landmarks[there]) / unit)
            corners.append(_apart(_corners(track, at), _corners(found[mine], there)) / unit)
    return IntervalRow(
        clip.stem,
        every,
        sum(len(track.frames) for track in exact),
        lost,
        len(found),
        round(100 * float(np.sqrt(np.mean(np.square(points)))), 3),
        round(100 * max(points), 3),
        round(100 * float(np.sqrt(np.mean(np.square(corners)))), 3),
        round(1000 * seconds, 1),
    )


def _apart(a: Array, b: Array) -> float:
    """RMS distance of points [P,2]."""
    return float(np.sqrt(np.square(a - b).sum(1).mean()))


def _corners(track: Track, k: int) -> Array:
    edge = track.crop - 0.5
    square = np.array([(-0.5, -0.5), (edge, -0.5), (edge, edge), (-0.5, edge)])
    return similarity.apply(track.to_frame[k], square)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--every", type=int, nargs="+", default=[1, 2, 5, 10])
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    tune_process()
    locate, rows = backends.choose_backend("default").locator("2d106"), []
    for clip in args.clips:
        exact, seconds = followed(clip, locate, 1, args.frames)
        for every in args.every:
            tracks, spent = (exact, seconds) if every == 1 else followed(clip, locate, every, args.frames)
            row = compared(clip, every, exact, tracks, spent)
            print(
                f"{row.clip:<8} every {every:>2}: landmarks {row.landmarks:.2f} % (worst {row.landmarks_worst:.2f} %), "
                f"corners {row.corners:.2f} %; {row.lost} of {row.faces} faces lost, {row.tracks} tracks; "
                f"{row.cpu_ms:.0f} ms a frame",
                flush=True,
            )
            rows.append(row)
    if args.json is not None:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
