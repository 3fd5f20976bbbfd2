"""Measure the flicker of an inversion and its edit on consecutive frames of a clip with stored codes.

python scripts/experiments/flicker.py talk.mp4 --codes talk.codes.safetensors --edit age+2 [--frames 24] [--start 0]

On the aligned crops at 256 pixels, motion compensated; in thousandths of the full range, and as a ratio. Choose frames
of one shot: a cut between them counts as flicker.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vidinv import api
from vidinv.editing import directions, feature_edit, grammar
from vidinv.frames import Array, Code
from vidinv.generators.ops import resize
from vidinv.jobs import render_codes
from vidinv.metrics.flicker import flicker
from vidinv.process import tune_process

SIZE = 256


def stack(images: list[Tensor]) -> Array:
    """[1,3,S,S] in [-1,1] each -> [T,SIZE,SIZE,3] in [0,1]."""
    small = torch.cat([resize(image, SIZE).clamp(-1, 1) for image in images])
    return np.asarray((small.permute(0, 2, 3, 1).numpy() + 1) / 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--codes", type=Path, required=True)
    parser.add_argument("--edit", action="append", required=True, dest="edits")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--start", type=int, default=0)
    args = parser.parse_args()
    tune_process()
    models, stored = api.load(device="cpu"), render_codes.open_stored(args.clip, args.codes)
    generator, track = models.generator, int(stored.rows.track[0])
    frames = range(args.start, args.start + args.frames)
    unbroken = list(itertools.takewhile(lambda frame: (frame, track) in stored.row_of, frames))
    if len(unbroken) < 2:
        parser.error(f"no two consecutive faces from frame {args.start} on")
    faces = list(render_codes.iterate_faces(args.clip, stored, {(frame, track) for frame in unbroken}))
    source = stack([face for _, face, _ in faces])

    def made(change: Callable[[Code], Code]) -> float:
        images = [generator.picture(change(code), generator.sizes[0]) for _, _, code in faces]
        return 1000 * flicker(source, stack(images))

    def edited(text: str) -> Callable[[Code], Code]:
        edit = grammar.parse(text)
        moves = [(directions.load_direction(edit.name, generator.space), edit.strength)]
        return lambda code: feature_edit.edit(generator, code, moves)

    found = {"inversion": made(lambda code: code)} | {text: made(edited(text)) for text in args.edits}
    ratios = {f"{name} / inversion": value / found["inversion"] for name, value in found.items() if name != "inversion"}
    print(json.dumps({name: round(value, 3) for name, value in {**found, **ratios}.items()}))


if __name__ == "__main__":
    main()
