"""Given boxes: read the user's file of boxes, which says where the subject is in place of a detector.

The file is CSV with a header `x0,y0,x1,y1`. Without further columns its lines hold for every frame; a column `frame`
(counted from 0) limits a line to that frame, and a column `id` marks the lines of the same subject. The numbers are
pixels of the picture as a player shows it: x from its left edge, y from its top, x1 and y1 exclusive.
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
    """Boxes [N,4] and their subjects [N] by frame; the entry at None holds for every frame without its own."""

    by_frame: dict[int | None, tuple[Array, Array]]
    subjects: int
    digest: str  # sha256 of the file

    def at(self, frame: int, size: tuple[int, int], rotation: int) -> Array:
        """The boxes [N,4] of a frame, in pixels of the coded picture, whose (height, width) is `size`."""
        boxes = self._of(frame)[0]
        return to_coded_picture(boxes, size, rotation)

    def named(self, frame: int, found: LocatedFaces) -> LocatedFaces:
        """The faces that were located in the boxes of a frame, with embeddings that are equal for one subject only."""
        if self.subjects < 2:
            return found
        return replace(found, embeddings=np.eye(self.subjects, dtype=np.float32)[self._of(frame)[1]])

    def _of(self, frame: int) -> tuple[Array, Array]:
        nothing = (np.zeros((0, 4)), np.zeros(0, np.int64))
        return self.by_frame.get(frame, self.by_frame.get(None, nothing))


def boxes_of_run(config: RunConfig, backend: Backend) -> Boxes | None:
    """The boxes of a run: those of `config.boxes`, else the backend's; None where a detector is used.

    Raises UsageError where the backend needs boxes and there are none, and the errors of `read_boxes`.
    """
    path = Path(config.boxes) if config.boxes else backend.boxes
    if path is None and backend.takes_boxes:
        raise UsageError(
            f"the backend {config.backend} edits the contents of boxes, and no boxes are given",
            remedy="give --boxes FILE",
        )
    return None if path is None else read_boxes(path)


def read_boxes(path: Path) -> Boxes:
    """Read the boxes in a CSV file.

    Raises InputUnreadable where the file cannot be read as CSV, and UsageError, with the line, for an invalid box or a
    file without boxes.
    """
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
                f"{path}, line {number}: not a box",
                remedy="write the header x0,y0,x1,y1 (optionally with frame and id) and numbers below it",
            ) from error
        x0, y0, x1, y1 = edges
        if not (all(map(math.isfinite, edges)) and x0 < x1 and y0 < y1):
            raise UsageError(
                f"{path}, line {number}: the box has no area", remedy="write finite numbers with x0 < x1 and y0 < y1"
            )
        lines.setdefault(frame, []).append((edges, row.get("id") or ""))
    if not lines:
        raise UsageError(
            f"{path} contains no boxes", remedy="write the header x0,y0,x1,y1 and a line of numbers below it"
        )
    subjects = sorted({subject for entries in lines.values() for _, subject in entries})
    found = {
        frame: (np.array([edges for edges, _ in entries]), np.array([subjects.index(each) for _, each in entries]))
        for frame, entries in lines.items()
    }
    return Boxes(found, len(subjects), fileio.sha256_of_bytes(text))


def to_coded_picture(boxes: Array, size: tuple[int, int], rotation: int) -> Array:
    """Convert boxes [N,4] from the shown picture to the coded one, whose (height, width) is `size`.

    `rotation` in degrees (0, 90, 180, 270) is how a player turns the coded picture.
    """
    height, width = size
    x0, y0, x1, y1 = np.asarray(boxes, np.float64).reshape(-1, 4).T
    edges = {
        0: (x0, y0, x1, y1),
        90: (y0, height - x1, y1, height - x0),
        180: (width - x1, height - y1, width - x0, height - y0),
        270: (width - y1, x0, width - y0, x1),
    }[rotation]
    return np.stack(edges, axis=1)
