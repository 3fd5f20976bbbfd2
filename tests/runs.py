"""What tests of whole runs share: the options of a tiny run, and what it left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from vidinv.cli.main import main
from vidinv.media import reader

STEPS = [
    *("--set", "refine.first.latent=2", "--set", "refine.first.feature=1"),
    *("--set", "refine.following.latent=1", "--set", "refine.following.feature=1"),
]
TINY = ["--backend", "tiny", "--set", "crop=64", *STEPS]


SHOWN = ["--set", "mask.residual_good=1", "--set", "mask.residual_bad=2"]  # whatever the inversion is worth


def edited(source: Path, output: Path, *options: object) -> Path:
    """`output`, an edit of `source` by the command line."""
    assert main(["run", *map(str, (source, "--edit", "age+3", "-o", output, *TINY, *SHOWN, *options))]) == 0
    return output


def report_of(output: Path) -> dict[str, Any]:
    return json.loads(output.with_name(output.name + ".json").read_text(encoding="utf-8"))


def rects(output: Path) -> list[tuple[int, int, int, int]]:
    """The mask's rectangle (x0, y0, x1, y1) of every edited frame, as the report has it."""
    return [tuple(row["rect"]) for row in report_of(output)["identity"]["tracks"][0]["per_frame"]]


def frames_of(path: Path) -> list[tuple[int, list[np.ndarray]]]:
    return [
        (batch.pts[i], [plane.copy() for plane in batch.native[i].planes])
        for batch in reader.read(path, batch=4)
        for i in range(len(batch))
    ]


def seconds(path: Path) -> list[float]:
    return [float(batch.pts[i] * batch.time_base) for batch in reader.read(path) for i in range(len(batch))]


def left_behind(folder: Path, *, but: set[str]) -> set[str]:
    return {entry.name for entry in folder.iterdir()} - but
