"""Evaluate generators tuned to one picture: reconstruction, change of other samples, and remaining effect of edits.

python scripts/experiments/generator_tuning_ablation.py FACE... [--recipe full]... [--samples 300] [--reference 2000]
    [--set KEY=VALUE]
python scripts/experiments/generator_tuning_ablation.py --synthetic 5 --filter sketch --recipe full --samples 0
    --picture FOLDER

Each FACE, an aligned picture, or sample of the generator, as it is or as a sketch or a statue, is coded by the encoder,
and w+ and F stay as they are; a generator is tuned to it by each recipe. Printed are MSE and LPIPS at 256 pixels before
and after; the Frechet distance (MobileNetV2, not Inception's) of `--samples` pictures of the tuned generator to
`--reference` ones of the frozen one, and that of as many of the frozen one's; what each edit moves from -1 to +1 in the
meter's unit, by either; CPU seconds. Samples are drawn by the whole synthesis at the size that is trained on.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from vidinv import config_loading
from vidinv.backends import registry as backends
from vidinv.backends.interface import Models
from vidinv.editing import feature_edit
from vidinv.faces import attribute_meter
from vidinv.frames import Array, Code
from vidinv.generators import delta
from vidinv.generators.base import Generator
from vidinv.generators.ops import resize
from vidinv.losses.lpips import LPIPS
from vidinv.media.image_grid import image_grid
from vidinv.media.picture import write_picture
from vidinv.media.picture_file import read_rgb
from vidinv.metrics.distribution import Frechet
from vidinv.metrics.mobilenet import load_mobilenet
from vidinv.process import tune_process
from vidinv.progress import SilentProgress
from vidinv.trainers.generator_tuning.config import GeneratorTuningRecipe
from vidinv.trainers.generator_tuning.context import PivotFaces, TuningContext
from vidinv.trainers.generator_tuning.train import tune

RECIPES = ("full", "no-recon", "no-local", "no-global", "pti-ball")
EDITED = ("age", "smile", "yaw")
SIZE, AT_ONCE = 256, 4


def as_sketch(image: Tensor) -> Tensor:
    """A pencil drawing of a picture [1,3,S,S] in [-1,1]: where it is darker than what is around it."""
    grey = image.mean(1)[0].add(1).mul(127.5).numpy().astype(np.uint8)
    around = cv2.GaussianBlur(255 - grey, (0, 0), image.shape[-1] / 50)
    drawn = cv2.divide(grey, 255 - around, scale=256)
    return _grey(drawn.astype(np.float32) / 255)


def as_statue(image: Tensor) -> Tensor:
    """A picture [1,3,S,S] in [-1,1] as of marble: no colour, smooth, its shades lit from the left."""
    grey = image.mean(1)[0].add(1).div(2).numpy()
    smooth = cv2.bilateralFilter(grey, 0, 0.15, image.shape[-1] / 40)
    relief = cv2.Sobel(cv2.GaussianBlur(smooth, (0, 0), 2), cv2.CV_32F, 1, 0, ksize=3)
    return _grey(np.clip(0.45 + 0.5 * smooth + 0.6 * relief, 0, 1))


def _grey(level: Array) -> Tensor:
    """[S,S] in [0,1] -> [1,3,S,S] in [-1,1]."""
    return torch.from_numpy(level).mul(2).sub(1).expand(1, 3, -1, -1).contiguous()


FILTERS: dict[str, Callable[[Tensor], Tensor]] = {"none": lambda x: x, "sketch": as_sketch, "statue": as_statue}


def aligned(path: Path, size: int) -> Tensor:
    """An aligned picture [1,3,size,size] in [-1,1]."""
    rgb = torch.from_numpy(read_rgb(path)).permute(2, 0, 1)[None]  # HWC -> 1CHW
    return resize(rgb.float() / 127.5 - 1, size)


@torch.no_grad()
def drawn(generator: Generator, code: Code) -> Tensor:
    """The true picture at SIZE."""
    with torch.autocast("cpu", torch.bfloat16):
        made = generator.synthesize(code.ws, feature=code.feature, at=code.at, size=generator.sizes[0])
    return resize(made.float(), SIZE).clamp(-1, 1)


@torch.no_grad()
def gathered(frechet: Frechet, here: TuningContext, count: int, seed: int, *, tuned: bool, real: bool) -> Frechet:
    """`frechet` with samples of the seeds from `seed` on."""
    for start in range(0, count, AT_ONCE):
        w = torch.cat([here.frozen.sample(1, seed + k) for k in range(start, min(start + AT_ONCE, count))])
        frechet.add(here.draw(here.code(here.frozen.broadcast(w)), tuned=tuned).clamp(-1, 1), real=real)
    return frechet


def moved(models: Models, tuned: Generator, code: Code, measure: attribute_meter.Meter) -> dict[str, float]:
    """What each edit moves from -1 to +1, on pictures of `tuned`."""
    found = {}
    for name in EDITED:
        direction = models.backend.direction(name)
        ends = [feature_edit.edit(models.generator, code, [(direction, s)]) for s in (-1.0, 1.0)]
        below, above = measure.measure(torch.cat([drawn(tuned, end) for end in ends]))[name]
        found[name] = float(above - below)
    return found


class Ablation:
    """The networks that every row needs, and the reference set, gathered once."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.models = args, backends.choose_backend("default").models("cpu", "")
        self.perceptual, self.measure = LPIPS.load("alexnet"), attribute_meter.load_meter(EDITED)
        self.reference: Frechet | None = None
        self.own = float("nan")

    def targets(self) -> dict[str, Tensor]:
        """The pictures [1,3,S,S] by name."""
        network, look = self.models.generator, FILTERS[self.args.filter]
        found = {path.stem: aligned(path, network.sizes[0]) for path in self.args.faces}
        for seed in self.args.synthetic:
            w = network.truncate(network.sample(1, seed), 0.7)
            found[f"synthetic{seed}"] = network.picture(Code(network.broadcast(w)), network.sizes[0])
        return {name: look(image) for name, image in found.items()}

    def row(self, face: str, image: Tensor, name: str) -> dict[str, Any]:
        """One face by one recipe."""
        models, recipe = (
            self.models,
            config_loading.load_dataclass(GeneratorTuningRecipe, "train/generator_tuning", name, self.args.changes),
        )
        with torch.no_grad():
            code = models.encoder(image)
        began = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            pivots = PivotFaces(image, code)
            made = tune(models.generator, models.proxy, pivots, self.perceptual, recipe, Path(folder), SilentProgress())
        spent = time.process_time() - began
        tuned = delta.added(models.generator, delta.between(models.generator, made.state))
        found: dict[str, Any] = {"step": made.best.step if made.best else recipe.steps, "cpu_s": round(spent)}
        for when, generator in (("before", models.generator), ("after", tuned)):
            picture, wanted = drawn(generator, code), resize(image, SIZE)
            found[f"mse_{when}"] = round(float((picture - wanted).square().mean()), 5)
            found[f"lpips_{when}"] = round(float(self.perceptual(picture, wanted)), 4)
            found[f"moved_{when}"] = moved(models, generator, code, self.measure)
        if self.args.samples:
            found |= self.cohesion(tuned, recipe, code)
        if self.args.picture:
            self.draw(image, code, tuned, f"{face}-{self.args.filter}-{name}")
        return found

    def cohesion(self, tuned: Generator, recipe: GeneratorTuningRecipe, code: Code) -> dict[str, float]:
        """Frechet distances to the reference of the tuned generator's samples, and of as many of the frozen one's."""
        assert code.at is not None
        count, here = self.args.samples, TuningContext(self.models.generator, tuned, code.at, None, True, None, recipe)
        if self.reference is None:
            empty = Frechet(load_mobilenet())
            self.reference = gathered(empty, here, self.args.reference, 100_000, tuned=False, real=True)
            other = gathered(copy.deepcopy(self.reference), here, count, 0, tuned=False, real=False)
            self.own = other.distance()
        after = gathered(copy.deepcopy(self.reference), here, count, 0, tuned=True, real=False).distance()
        return {"fd_frozen": round(self.own, 3), "fd_tuned": round(after, 3), "fd_ratio": round(after / self.own, 3)}

    def draw(self, image: Tensor, code: Code, tuned: Generator, name: str) -> None:
        """The picture, both inversions, and the edits at +1 by the tuned generator, side by side."""
        frozen, choose = self.models.generator, backends.choose_backend("default")
        edits = [feature_edit.edit(frozen, code, [(choose.direction(edit), 1.0)]) for edit in EDITED]
        row = [resize(image, SIZE), drawn(frozen, code), drawn(tuned, code), *(drawn(tuned, edit) for edit in edits)]
        self.args.picture.mkdir(parents=True, exist_ok=True)
        write_picture(self.args.picture / f"{name}.png", image_grid([torch.cat(row)]))


def summed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the faces; of movements the share of what the frozen generator's are, over all faces."""
    names = [name for name, value in rows[0].items() if not isinstance(value, dict)]
    found: dict[str, Any] = {name: round(float(np.mean([row[name] for row in rows])), 4) for name in names}
    for edit in EDITED:
        sums = [np.nansum([row[f"moved_{when}"][edit] for row in rows]) for when in ("before", "after")]
        found[f"{edit}_kept"] = round(float(sums[1] / sums[0]), 3)
    return found | {"n": len(rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faces", type=Path, nargs="*")
    parser.add_argument("--synthetic", type=int, action="append", default=[], metavar="SEED", help="a sample as a face")
    parser.add_argument("--filter", choices=FILTERS, default="none")
    parser.add_argument("--recipe", action="append", dest="recipes", help=f"a file, or of {', '.join(RECIPES)}")
    parser.add_argument("--samples", type=int, default=300, help="for the Frechet distance; 0 takes none")
    parser.add_argument("--reference", type=int, default=2000)
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE", help="of the recipe")
    parser.add_argument("--picture", type=Path, metavar="FOLDER", help="write pictures of every row there")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    tune_process()
    ablation, table = Ablation(args), dict[str, Any]()
    targets = ablation.targets()
    for name in args.recipes or RECIPES:
        rows = []
        for face, image in targets.items():
            rows.append(ablation.row(face, image, name))
            print(json.dumps({"recipe": name, "face": face} | rows[-1]), flush=True)
        table[name] = summed(rows)
        print(json.dumps({name: table[name]}), flush=True)
        if args.json:
            args.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
