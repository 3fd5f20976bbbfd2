"""Draw generated faces: rows along a direction from strength -3 to +3, and single faces by their seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from vidinv import fileio
from vidinv.backends.interface import Models
from vidinv.editing import direction_training, feature_edit
from vidinv.editing.directions import Direction
from vidinv.frames import Array
from vidinv.generators.ops import resize
from vidinv.media import picture
from vidinv.media.image_grid import image_grid

STRENGTHS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
PANEL = 160  # pixels
DRAWN = 256  # pixels, side of a face by its seed


@torch.no_grad()
def draw_direction(models: Models, direction: Direction, people: int, seed: int) -> Array:
    """Draw RGB uint8 [people * PANEL, 7 * PANEL, 3]: samples moved along the direction, by the full synthesis."""
    generator, rows = models.generator, []
    for w in direction_training.samples(generator, people, seed).split(1):
        row = []
        for strength in STRENGTHS:
            moved = feature_edit.edit(generator, direction_training.code_of(generator, w), [(direction, strength)])
            row.append(resize(generator.picture(moved, generator.sizes[0]), PANEL)[0].clamp(-1, 1))
        rows.append(row)
    return picture.pixels(image_grid(rows))


@torch.no_grad()
def write_faces(folder: Path, models: Models, seeds: Iterable[int], done: Callable[[int], None]) -> None:
    """Write SEED.png of each seed's face, and `faces.csv` with the columns seed and file, into a new folder.

    `done(n)` is called after every n pictures. Raises OutputUnwritable; an incomplete folder is removed.
    """
    with fileio.creating_folder(folder, parents=True) as draft:
        lines = ["seed,file"]
        for seed in seeds:
            w = direction_training.samples(models.generator, 1, seed)
            drawn = models.generator.synthesize(models.generator.broadcast(w), size=models.generator.sizes[0])
            picture.write_picture(draft / f"{seed}.png", resize(drawn, DRAWN)[0].clamp(-1, 1))
            lines.append(f"{seed},{seed}.png")
            done(1)
        (draft / "faces.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
