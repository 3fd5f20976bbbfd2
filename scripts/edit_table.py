"""What edits do to real faces: attributes and identity before and after, with a random direction as the control.

python scripts/edit_table.py PICTURE_OR_CLIP ... --edit age+2 --edit age-2 --edit smile+1 [--picture sheet.png]

Each picture, and `--frames` frames of each clip, is aligned, refined as a run's first frame is, and edited by Eq. 1.
The control is a random unit vector at strength +2 of the first edit's deviation and rows. All measures are taken on
the generator's own pictures, not on blended frames: `scripts/verify.py` does that.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from stages import parts
from vidinv import api
from vidinv import config as configs
from vidinv.cli.main import tune_process
from vidinv.editing import directions, feature_edit
from vidinv.editing.directions import Direction
from vidinv.faces import detector, landmarks, pictures
from vidinv.faces.meter import load_meter
from vidinv.generators.ops import resize
from vidinv.media.picture import write as write_picture

SIZE = 512


def control(like: Direction) -> Direction:
    """A random unit vector with the deviation and rows of `like`."""
    vector = torch.randn(like.vector.shape, generator=torch.Generator().manual_seed(5))
    return replace(like, name="random", vector=vector / vector.norm())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--edit", action="append", required=True, dest="edits")
    parser.add_argument("--frames", type=int, default=2, help="of each clip")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there; - is standard output")
    parser.add_argument("--picture", type=Path, help="source, inversion and edits, one row per face")
    args = parser.parse_args()
    tune_process()
    models, meter = api.load(), load_meter()
    finder = pictures.Finder(detector.load_detector(), landmarks.load_landmarks())
    effort, refine = configs.load("balanced").refine.first, parts.refiner("default", models)
    wanted = [directions.parse_edit(text) for text in args.edits]
    moves = [(directions.load(edit.name, models.generator.space), edit.strength) for edit in wanted]
    moves.append((control(moves[0][0]), 2.0))
    names = ["source", "inversion", *args.edits, "random+2"]
    found: dict[str, list[dict[str, Any]]] = {}
    sheet = []
    for path in pictures.files(args.paths):
        for crop in pictures.crops(path, args.frames, SIZE, finder):
            with torch.no_grad():
                code = models.encoder(crop)
            code, _ = refine(code, crop, None, effort)
            edited = [feature_edit.edit(models.generator, code, [move]) for move in moves]
            with torch.no_grad():
                made = [
                    models.generator.synthesize(c.ws, feature=c.feature, at=c.at, size=SIZE).clamp(-1, 1)
                    for c in (code, *edited)
                ]
            images = torch.cat([crop, *made])
            measured = meter.measure(images)
            measured |= {network: embed(images) @ embed(crop)[0] for network, embed in models.identity.items()}
            row = {key: {n: round(float(v), 3) for n, v in zip(names, of, strict=True)} for key, of in measured.items()}
            found.setdefault(str(path), []).append(row)
            print(path.name, row, flush=True, file=sys.stderr)
            sheet.append(torch.cat(list(resize(images, 256)), 2))  # [3,256,256*K]
    if args.picture:
        write_picture(args.picture, torch.cat(sheet, 1))
    if args.json:
        text = json.dumps(found, indent=1)
        print(text) if args.json == "-" else Path(args.json).write_text(text + "\n")


if __name__ == "__main__":
    main()
