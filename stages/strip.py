"""A direction as a picture: people who do not exist, a row each, from strength -3 to +3."""

from __future__ import annotations

import torch

from stages.parts import Models
from vidinv.editing import lesson
from vidinv.editing.directions import Direction
from vidinv.frames import Array
from vidinv.generators.ops import resize
from vidinv.media import picture

STRENGTHS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
PANEL = 160  # pixels


@torch.no_grad()
def draw(models: Models, direction: Direction, people: int, seed: int) -> Array:
    """RGB uint8 [people * PANEL, 7 * PANEL, 3]: G(w) of samples, by the whole synthesis, moved along the direction."""
    generator, rows = models.generator, []
    for w in lesson.samples(generator, people, seed).split(1):
        row = []
        for strength in STRENGTHS:
            ws = generator.broadcast(w) + direction.offset(strength, generator.num_ws).to(w)
            row.append(resize(generator.synthesize(ws, size=generator.sizes[0]), PANEL)[0].clamp(-1, 1))
        rows.append(torch.cat(row, 2))
    return picture.pixels(torch.cat(rows, 1))
