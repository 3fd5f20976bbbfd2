"""A clip with a shape that moves, its boxes, and backends made for it: what the tests of own backends share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.runs import SHOWN, STEPS
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main

SIZE, FRAMES = (128, 96), 6  # width, height
LEAST = ["--set", "crop=64", "--set", "threads=1", "--codec", "lossless", *STEPS, *SHOWN]
PLAIN = ["--guides", "pixels"]  # nothing is fetched


def shape_at(index: int) -> tuple[int, int, int, int]:
    """Where the shape is on a frame: x0, y0, x1, y1."""
    return 20 + 4 * index, 30, 60 + 4 * index, 62


def drawn(index: int) -> np.ndarray:
    width, height = SIZE
    picture = np.full((height, width, 3), 40, np.uint8)
    picture[:, :, 1] += (np.arange(width) % 50).astype(np.uint8)
    x0, y0, x1, y1 = shape_at(index)
    picture[y0:y1, x0:x1] = (200, 80, 60)
    return picture


def shape_clip(folder: Path) -> Path:
    return make_clip(folder / "shape.mkv", size=SIZE, frames=FRAMES, image=drawn, audio=False)


def shape_boxes(folder: Path) -> Path:
    path = folder / "boxes.csv"
    lines = [",".join(map(str, (index, *shape_at(index)))) for index in range(FRAMES)]
    path.write_text("frame,x0,y0,x1,y1\n" + "\n".join(lines) + "\n")
    return path


def create(name: str, generator: str, *options: object) -> None:
    assert main(["backend", "create", name, "--generator", generator, *map(str, options)]) == 0


def refused(capsys: pytest.CaptureFixture[str], code: int, *command: object) -> str:
    """The one line that a command refuses with."""
    assert main(list(map(str, command))) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]
