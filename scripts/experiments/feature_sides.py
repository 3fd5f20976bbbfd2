"""Compare F at 16x16 and 32x32: fidelity of the inversion, and the remaining effect of an edit of w.

python scripts/experiments/feature_sides.py PICTURE ... --edit age+2 [--picture sheet.png] [--json FILE]

Each face is aligned and refined as a run's first frame is, w+ from the encoder, F from the generator's own, with F at
each side; then edited by Eq. 1. Attributes are measured on the generator's own pictures; gains are the edit's less the
inversion's, likenesses are to the source.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
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
from vidinv.losses.lpips import LPIPS
from vidinv.media.image_grid import image_grid
from vidinv.media.picture import write_picture
from vidinv.metrics.image import psnr
from vidinv.process import tune_process

SIZE = 512
SIDES = (16, 32)


def at_side(models: Models, code: Code, side: int) -> Code:
    """The encoder's code with an F of another side: the generator's own, where refinement begins."""
    at = models.generator.layer_at(side)
    return replace(code, feature=models.generator.synthesize(code.ws, stop=at), at=at)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--edit", default="age+2")
    parser.add_argument("--picture", type=Path, help="a row per face: source, then inversion and edit at each side")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    tune_process()
    models, meter, lpips = api.load(device="cpu"), load_meter(), LPIPS.load("alexnet")
    wanted = grammar.parse(args.edit)
    move = (directions.load_direction(wanted.name, models.generator.space), wanted.strength)
    finder = pictures.Finder(detector.load_detector(), landmarks.load_landmarks())
    effort, refine = (
        configs.load_run_config("balanced").refine.first,
        backends.refiner(models, native_precision("cpu")),
    )
    rows: dict[int, list[dict[str, float]]] = {side: [] for side in SIDES}
    sheet: list[list[Tensor]] = []
    for path in pictures.files(args.paths):
        for crop in pictures.crops(path, 1, SIZE, finder):
            panels, code = [crop], api.invert(models, crop)
            for side in SIDES:
                refined = refine(at_side(models, code, side), crop, None, effort)[0]
                edited = feature_edit.edit(models.generator, refined, [move])
                made = [models.generator.picture(each, SIZE) for each in (refined, edited)]
                small, source = resize(made[0], 256).clamp(-1, 1), resize(crop, 256)
                attribute = meter.measure(torch.cat(made))[wanted.name]
                row = {"psnr": float(psnr(small, source)), "lpips": float(lpips(small, source))}
                row[f"{wanted.name} gain"] = float(attribute[1] - attribute[0])
                for network, embed in models.identity.items():
                    likeness = embed(torch.cat(made)) @ embed(crop)[0]
                    row |= {network: float(likeness[0]), f"{network} edited": float(likeness[1])}
                rows[side].append(row)
                panels += made
            sheet.append([resize(image, 256)[0] for image in panels])  # K of [3,256,256]
    means = {side: {key: sum(row[key] for row in of) / len(of) for key in of[0]} for side, of in rows.items()}
    table = Table("F", *means[SIDES[0]], title=f"{len(sheet)} faces, {args.edit}")
    for side, row in means.items():
        table.add_row(f"{side}x{side}", *(f"{value:.3f}" for value in row.values()))
    Console(width=120).print(table)
    if args.picture:
        write_picture(args.picture, image_grid(sheet))
    if args.json:
        args.json.write_text(json.dumps({"mean": means, "each": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
