"""Whether each direction moves what it is named after on real faces: a table, with a random direction as control.

python scripts/monotone.py FOLDER [--only smile] [--json OUT.json]

Aligned pictures of the folder, encoder alone, Eq. 1 at strengths -2, -1, 0, +1 and +2, drawn by the proxy head.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from stages import parts
from stages.parts import Models
from vidinv.editing import directions, feature_edit
from vidinv.editing.directions import Direction
from vidinv.editing.lesson import Measure
from vidinv.faces import pictures
from vidinv.frames import Array, Code

STRENGTHS = (-2.0, -1.0, 0.0, 1.0, 2.0)
SIDE = 256  # pixels


def control(direction: Direction) -> Direction:
    """A random direction of the same length and rows."""
    vector = torch.randn(len(direction.vector), generator=torch.Generator().manual_seed(0))
    return replace(direction, vector=vector / vector.norm())


@torch.inference_mode()
def draw(models: Models, code: Code, direction: Direction, strength: float) -> Tensor:
    moved = feature_edit.edit(models.generator, code, [(direction, strength)])
    return models.proxy(moved.ws, moved.feature, moved.at).clamp(-1, 1).cpu()


def row(direction: Direction, faces: list[tuple[Tensor, Code]], models: Models, measure: Measure) -> dict[str, Any]:
    """Figures of one direction over the faces."""
    name, values, kept, random = direction.name, [], [], []
    arcface = models.identity["arcface"]
    for image, code in faces:
        drawn = {strength: draw(models, code, direction, strength) for strength in STRENGTHS}
        values.append([float(measure(picture)[name][0]) for picture in drawn.values()])
        kept += [float((arcface(image) * arcface(drawn[strength])).sum()) for strength in (-1.0, 1.0)]
        low, high = (float(measure(draw(models, code, control(direction), s))[name][0]) for s in (-2.0, 2.0))
        random.append(high - low)
    table: Array = np.array(values)
    steps = np.diff(table[:, [0, 1, 3, 4]], axis=1)  # over -2, -1, +1, +2
    return {
        "name": name,
        "rises": int((steps >= 0).all(1).sum()),
        "rises_over_all": int((table[:, 4] > table[:, 0]).sum()),
        "faces": len(faces),
        "mean": [round(float(value), 3) for value in np.nanmean(table, 0)],
        "unit": next(iter(direction.calibration), ""),
        "arcface_at_1": round(float(np.mean(kept)), 3),
        "control": round(float(np.nanmean(random)), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="aligned faces")
    parser.add_argument(
        "--only", action="append", choices=parts.choose("default").measures, help="this direction; repeatable"
    )
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    backend = parts.choose("default")
    models, measure = backend.models("cpu", ""), backend.measure()
    faces = []
    with torch.inference_mode():
        for path in pictures.files([args.folder]):
            image = next(pictures.crops(path, 1, SIDE, None))
            faces.append((image, models.encoder(image)))
    rows = []
    for name in track(args.only or directions.shipped(backend.space), description="directions"):
        rows.append(row(directions.load(name, backend.space), faces, models, measure))
    for found in rows:
        steps = (
            f"rises at every step on {found['rises']}, from -2 to +2 on {found['rises_over_all']} of {found['faces']}"
        )
        likeness = f"ArcFace at +-1 {found['arcface_at_1']}; random from -2 to +2 {found['control']:+}"
        print(f"{found['name']:<15} {steps}; mean {found['mean']} {found['unit']}; {likeness}")
    if args.json is not None:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
