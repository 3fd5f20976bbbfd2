"""Measure the locality of an edit: the share of changed pixels outside the attribute's region.

python scripts/experiments/locality.py --attribute smile --region mouth smile my_smile_style [--faces FOLDER]
    [--json OUT.json]

Every direction is scaled to the effect that the first has at `--strength` (the mean of what the meter measures), so
that effects are comparable. Faces are the generator's samples, or aligned pictures inverted by the encoder and edited
by Eq. 1; they are rendered by the full synthesis, without a mask.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vidinv.backends import registry as backends
from vidinv.backends.interface import Models
from vidinv.editing import direction_training, directions, feature_edit, target
from vidinv.editing.direction_training import Measure
from vidinv.editing.directions import Direction
from vidinv.faces import pictures, regions
from vidinv.frames import Code
from vidinv.generators.ops import resize
from vidinv.process import tune_process

SIDE = 256  # pixels
CHANGED = 8 / 255  # of the range of a pixel: a change that is seen


@dataclass(frozen=True)
class LocalityRow:
    """One direction's figures: means over the faces."""

    name: str
    strength: float
    effect: float  # of the attribute, in the meter's unit
    outside: float  # share of the changed pixels that lie outside the region
    changed: float  # share of the picture that is changed
    moved_outside: float  # mean change of a pixel outside, of 255
    arcface: float  # likeness to the face as it was


@torch.inference_mode()
def draw(models: Models, codes: Sequence[Code], direction: Direction, strength: float) -> Tensor:
    """The edited pictures [N,3,SIDE,SIDE] in [-1,1]."""
    rows = []
    for code in codes:
        moved = feature_edit.edit(models.generator, code, [(direction, strength)])
        rows.append(resize(models.generator.picture(moved, models.generator.sizes[0]), SIDE).clamp(-1, 1).cpu())
    return torch.cat(rows)


def measured(
    models: Models,
    measure: Measure,
    codes: Sequence[Code],
    direction: Direction,
    attribute: str,
    region: str,
    to: float,
) -> LocalityRow:
    """The direction at the strength whose mean effect on the attribute is `to`."""
    before = draw(models, codes, direction, 0.0)
    start = float(np.nanmean(measure(before)[attribute]))

    def value(strength: float) -> float:
        return float(np.nanmean(measure(draw(models, codes, direction, strength))[attribute]))

    one = max(abs(value(1.0) - start), abs(to) / 20)
    found = target.solve(value, start + to, one, tolerance=abs(to) / 50)
    after = draw(models, codes, direction, found.strength)
    inside = [_inside(models, pair, region) for pair in zip(before, after, strict=True)]
    where = torch.from_numpy(np.stack(inside))  # [N,SIDE,SIDE]
    change = (after - before).abs().amax(1) / 2  # [N,SIDE,SIDE], of the range of a pixel
    changed = change > CHANGED
    arcface = models.identity["arcface"]
    return LocalityRow(
        direction.name,
        round(found.strength, 3),
        round(found.value - start, 4),
        round(float((changed & ~where).sum() / changed.sum()), 4),
        round(float(changed.float().mean()), 4),
        round(float(255 * change[~where].mean()), 3),
        round(float((arcface(before) * arcface(after)).sum(1).mean()), 4),
    )


def _inside(
    models: Models, pair: tuple[Tensor, Tensor], region: str
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Where the region lies before or after the edit, with its surroundings: bool [SIDE,SIDE]."""
    labels = models.parse(torch.stack(pair), SIDE)
    return np.asarray(np.any([regions.inside(each, region) for each in labels], axis=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", help="directions, the first of which sets the effect")
    parser.add_argument("--attribute", required=True, choices=backends.choose_backend("default").measures)
    parser.add_argument("--region", required=True, choices=[name for name in regions.REGIONS if regions.is_local(name)])
    parser.add_argument("--strength", type=float, default=1.0, help="of the first")
    parser.add_argument("--people", type=int, default=16, help="samples, where no faces are given")
    parser.add_argument("--faces", type=Path, metavar="FOLDER", help="aligned pictures instead of samples")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    tune_process()
    backend = backends.choose_backend("default")
    models, measure = backend.models("cpu", ""), backend.measure()
    found = [directions.load_direction(name, backend.space) for name in args.names]
    if args.faces is None:
        drawn = direction_training.samples(models.generator, args.people, seed=77)
        codes = [direction_training.code_of(models.generator, w) for w in drawn.split(1)]
    else:
        crops = [next(pictures.crops(path, 1, SIDE, None)) for path in pictures.files([args.faces])]
        with torch.inference_mode():
            codes = [models.encoder(crop) for crop in crops]
    still = measure(draw(models, codes, found[0], 0.0))[args.attribute]
    moved = measure(draw(models, codes, found[0], args.strength))[args.attribute]
    effect = float(np.nanmean(moved - still))
    assert math.isfinite(effect)
    rows = [measured(models, measure, codes, each, args.attribute, args.region, effect) for each in found]
    for row in rows:
        print(
            f"{row.name:<18} {row.strength:+.2f}: {args.attribute} {row.effect:+.4f}; {row.outside:.1%} of the changed "
            f"pixels outside {args.region} ({row.changed:.1%} changed), {row.moved_outside:.2f}/255 there; "
            f"ArcFace {row.arcface:.3f}"
        )
    if args.json is not None:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
