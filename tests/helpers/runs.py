"""What tests of whole runs share: the options of a tiny run, and what it left."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np

from vidinv.cli.main import main
from vidinv.media import reader

SCHEMA = resources.files("vidinv") / "assets" / "report.schema.json"
STEPS = [
    *("--set", "refine.first.latent=2", "--set", "refine.first.feature=1"),
    *("--set", "refine.following.latent=1", "--set", "refine.following.feature=1"),
]
# One thread: with two, sums may be taken in another order from one process to the next.
TINY = ["--backend", "tiny", "--set", "crop=64", "--set", "threads=1", *STEPS]
SHOWN = ["--set", "mask.residual_good=1", "--set", "mask.residual_bad=2"]  # whatever the inversion is worth


def edited(source: Path, output: Path, *options: object) -> Path:
    """`output`, an edit of `source` by the command line."""
    assert main(["run", *map(str, (source, "--edit", "age+3", "-o", output, *TINY, *SHOWN, *options))]) == 0
    return output


def report_of(output: Path) -> dict[str, Any]:
    """The report on an output."""
    return document(output.with_name(output.name + ".json"))


def rects(output: Path) -> list[tuple[int, int, int, int]]:
    """The mask's rectangle (x0, y0, x1, y1) of every edited frame, as the report has it."""
    return [tuple(row["rect"]) for row in face_rows(report_of(output)["identity"]["tracks"][0])]


def frames_of(path: Path) -> list[tuple[int, list[np.ndarray]]]:
    return [
        (batch.pts[i], [plane.copy() for plane in batch.native[i].planes])
        for batch in reader.read_frames(path, batch=4)
        for i in range(len(batch))
    ]


def same_frames(one: Path, other: Path) -> bool:
    """Whether two videos have the same samples at the same times in every frame."""
    first, second = frames_of(one), frames_of(other)
    return [pts for pts, _ in first] == [pts for pts, _ in second] and all(
        len(a) == len(b) and all(map(np.array_equal, a, b)) for (_, a), (_, b) in zip(first, second, strict=True)
    )


def seconds(path: Path) -> list[float]:
    return [float(batch.pts[i] * batch.time_base) for batch in reader.read_frames(path) for i in range(len(batch))]


def left_behind(folder: Path, *, but: set[str]) -> set[str]:
    return {entry.name for entry in folder.iterdir()} - but


def document(path: Path) -> dict[str, Any]:
    """The report in a file, which is of its published form."""
    found = json.loads(path.read_text())
    jsonschema.validate(found, json.loads(SCHEMA.read_text()))
    return dict(found)


def face_rows(track: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a report's track, of its columns; what was not measured is left out."""
    columns = track["per_frame"]
    cells = zip(*columns.values(), strict=True)
    return [{name: value for name, value in zip(columns, row, strict=True) if value is not None} for row in cells]
