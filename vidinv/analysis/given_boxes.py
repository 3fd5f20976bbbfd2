"""A file of boxes: where the subject is, given by hand or by a detector of one's own.

CSV with a header: `x0,y0,x1,y1`, one line, for every frame; with a column `frame` (counted from 0) for that frame
alone, and with a column `id` that says which lines are the same subject. Numbers are pixels of the picture as a player
shows it: x from its left edge, y from its top, x1 and y1 behind the last.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vidinv import fileio
from vidinv.backends.interface import Backend, LocatedFaces
from vidinv.config import RunConfig
from vidinv.errors import InputUnreadable, UsageError
from vidinv.frames import Array

EDGES = ("x0", "y0", "x1", "y1")


@dataclass(frozen=True)
class Boxes:
    """Boxes [N,4] with their subjects [N] by frame; those at None are for every frame."""

    by_frame: dict[int | None, tuple[Array, Array]]
    subjects: int
    digest: str  # sha256 of the file

    def at(self, frame: int, size: tuple[int, int], rotation: int) -> Array:
        """The boxes [N,4] of a frame, in the picture [height, width] = `size` as it is coded."""
        boxes = self._of(frame)[0]
        return turned_back(boxes, size, rotation)

    def named(self, frame: int, found: LocatedFaces) -> LocatedFaces:
        """What was found in the boxes of a frame, those of one subject alike and of others not."""
        if self.subjects < 2:
            return found
        return replace(found, embeddings=np.eye(self.subjects, dtype=np.float32)[self._of(frame)[1]])

    def _of(self, frame: int) -> tuple[Array, Array]:
        nothing = (np.zeros((0, 4)), np.zeros(0, np.int64))
        return self.by_frame.get(frame, self.by_frame.get(None, nothing))


def of(config: RunConfig, backend: Backend) -> Boxes | None:
    """The boxes of a run: those that it names, else its backend's; None where a detector looks.

    Raises UsageError where the backend works on boxes and there are none, and as `read` does.
    """
    path = Path(config.boxes) if config.boxes else backend.boxes
    if path is None and backend.takes_boxes:
        raise UsageError(
            f"the backend {config.backend} edits what lies in boxes, and none are given", remedy="give --boxes FILE"
        )
    return None if path is None else read_boxes(path)


def read_boxes(path: Path) -> Boxes:
    """The boxes in a file. Raises UsageError for one that is none, InputUnreadable for one that cannot be read."""
    try:
        text = path.read_bytes()
        rows = list(csv.DictReader(text.decode("utf-8-sig").splitlines(), skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputUnreadable(f"the boxes {path} cannot be read ({error})", remedy="give a CSV file") from error
    lines: dict[int | None, list[tuple[list[float], str]]] = {}
    for number, row in enumerate(rows, 2):
        try:
            edges = [float(row[name]) for name in EDGES]
            frame = int(row["frame"]) if "frame" in row else None
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"{path}, line {number}: no box", remedy="write a header x0,y0,x1,y1 (with frame, id), and numbers"
            ) from error
        x0, y0, x1, y1 = edges
        if not (all(map(math.isfinite, edges)) and x0 < x1 and y0 < y1):
            raise UsageError(f"{path}, line {number}: a box of no area", remedy="x0 is left of x1, y0 above y1")
        lines.setdefault(frame, []).append((edges, row.get("id") or ""))
    if not lines:
        raise UsageError(f"{path} holds no boxes", remedy="write x0,y0,x1,y1 and a line of numbers")
    subjects = sorted({subject for entries in lines.values() for _, subject in entries})
    found = {
        frame: (np.array([edges for edges, _ in entries]), np.array([subjects.index(each) for _, each in entries]))
        for frame, entries in lines.items()
    }
    return Boxes(found, len(subjects), fileio.sha256_of_bytes(text))


def turned_back(boxes: Array, size: tuple[int, int], rotation: int) -> Array:
    """Boxes [N,4] of the shown picture in the coded one [height, width] = `size`, which is turned by `rotation`."""
    height, width = size
    x0, y0, x1, y1 = np.asarray(boxes, np.float64).reshape(-1, 4).T
    edges = {
        0: (x0, y0, x1, y1),
        90: (y0, height - x1, y1, height - x0),
        180: (width - x1, height - y1, width - x0, height - y0),
        270: (width - y1, x0, width - y0, x1),
    }[rotation]
    return np.stack(edges, axis=1)
