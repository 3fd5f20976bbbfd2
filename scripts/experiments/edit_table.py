"""Measure the effect of edits on real faces: attributes and identity before and after, with a random control direction.

python scripts/experiments/edit_table.py PICTURE_OR_CLIP ... --edit age+2 --edit age-2 --edit smile+1
    [--picture sheet.png]
python scripts/experiments/edit_table.py CLIP ... --edit age+2 --edit age-2 --codes FOLDER

Each picture, and `--frames` frames of each clip, is aligned, refined as a run's first frame is, and edited by Eq. 1.
With `--codes` the codes of CLIP are taken from FOLDER/CLIP.safetensors, as `vidinv run --codes` kept them.
The control is a random unit vector at strength +2 of the first edit's deviation and rows. All measures are taken on
the generator's own pictures, not on blended frames: `scripts/stress/verify.py` does that.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidinv import api
from vidinv import config as configs
from vidinv.backends import registry as backends
from vidinv.backends.interface import Models
from vidinv.editing import directions, feature_edit, grammar
from vidinv.engines.runner import native_precision
from vidinv.faces import detector, landmarks, pictures
from vidinv.faces.attribute_meter import load_meter
from vidinv.frames import Code
from vidinv.generators.ops import resize
from vidinv.jobs import render_codes
from vidinv.media.image_grid import image_grid
from vidinv.media.picture import write_picture
from vidinv.process import tune_process

SIZE = 512


def faces(args: argparse.Namespace, models: Models) -> Iterator[tuple[Path, Tensor, Code]]:
    """Each face [1,3,S,S] with the file it is of and its code, refined now or stored."""
    if args.codes is not None:
        for path in args.paths:
            stored = render_codes.open_stored(path, args.codes / f"{path.stem}.safetensors")
            for _, crop, code in render_codes.iterate_faces(
                path, stored, render_codes.spread_faces(stored, args.frames)
            ):
                yield path, crop, code
        return
    finder = pictures.Finder(detector.load_detector(), landmarks.load_landmarks())
    effort, refine = (
        configs.load_run_config("balanced").refine.first,
        backends.refiner(models, native_precision("cpu")),
    )
    for path in pictures.files(args.paths):
        for crop in pictures.crops(path, args.frames, SIZE, finder):
            yield path, crop, refine(api.invert(models, crop), crop, None, effort)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--edit", action="append", required=True, dest="edits")
    parser.add_argument("--frames", type=int, default=2, help="of each clip")
    parser.add_argument("--codes", type=Path, metavar="FOLDER", help="stored codes, one file a clip")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there; - is standard output")
    parser.add_argument("--picture", type=Path, help="source, inversion and edits, one row per face")
    args = parser.parse_args()
    tune_process()
    models, meter = api.load(device="cpu"), load_meter()
    wanted = [grammar.parse(text) for text in args.edits]
    moves = [(directions.load_direction(edit.name, models.generator.space), edit.strength) for edit in wanted]
    moves.append((directions.random_control(moves[0][0], seed=5), 2.0))
    names = ["source", "inversion", *args.edits, "random+2"]
    found: dict[str, list[dict[str, Any]]] = {}
    sheet = []
    for path, crop, code in faces(args, models):
        edited = [feature_edit.edit(models.generator, code, [move]) for move in moves]
        made = [models.generator.picture(each, SIZE) for each in (code, *edited)]
        images = torch.cat([crop, *made])
        measured = meter.measure(images)
        measured |= {network: embed(images) @ embed(crop)[0] for network, embed in models.identity.items()}
        row = {key: {n: round(float(v), 3) for n, v in zip(names, of, strict=True)} for key, of in measured.items()}
        found.setdefault(str(path), []).append(row)
        sheet.append(resize(images, 256))  # [K,3,256,256]
    for name, rows in found.items():
        print(name)
        for key in rows[0]:
            means = {n: round(sum(row[key][n] for row in rows) / len(rows), 3) for n in names}
            print("  " + key.ljust(12) + "  ".join(f"{n} {value}" for n, value in means.items()))
    if args.picture:
        write_picture(args.picture, image_grid(sheet, column_labels=names))
    if args.json:
        text = json.dumps(found, indent=1)
        print(text) if args.json == "-" else Path(args.json).write_text(text + "\n")


if __name__ == "__main__":
    main()
