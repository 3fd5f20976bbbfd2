"""Measure each trainer's images per second and the time of the parts of a step.

python -m scripts.experiments.training_speed [TRAINER...] [--turns N] [--set KEY=VALUE] [--json FILE]

Each is a run of `vidinv train` itself on generated pictures: a short one to warm up, then the one that is measured. The
figures are the training loop's own (`trainers/core/throughput.py`): milliseconds per turn, wall-clock and on all cores,
without sample grids and checkpoints, which are too frequent in so short a training. The default number of turns covers
every step of a trainer, including the lazy ones. All trainers but automodulator and ae-stylegan need the weights.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidinv.bench.training_pace import PARTS, mean_pace
from vidinv.cli.main import main as vidinv
from vidinv.generators import proxy, registry
from vidinv.media import picture
from vidinv.trainers.data.corpus import draw_samples

WARM = 2  # turns
PICTURES, SIDE = 64, 64  # of the corpus


@dataclass(frozen=True)
class Training:
    """Arguments of `vidinv train`, images a turn, turns, what of the recipe says how many, and where the log lies."""

    arguments: tuple[str, ...]
    batch: int
    turns: int
    length: Callable[[int], tuple[str, ...]]  # images -> changes of the recipe
    log: str = "log.jsonl"


def _images(images: int) -> tuple[str, ...]:
    return (f"images={images}",)


def _samples(images: int) -> tuple[str, ...]:
    return (f"samples={images}", "held_out=0")


def _steps(images: int) -> tuple[str, ...]:
    return (f"steps={images}", f"look={images}")


def _stages(images: int) -> tuple[str, ...]:
    return (f"images=[{images}]",)


CORPUS, PHOTOS = "data={inputs}/corpus.npy", "photos={inputs}/photos"
AE = ("ae-stylegan", "--config", "light")
TRAININGS = {
    "feature-style": Training(("feature-style", "--config", "light"), 8, 6, _images),
    "feature-style-photos": Training(("feature-style", "--config", "light", "--set", PHOTOS), 8, 6, _images),
    "gan-encoder": Training(("gan-encoder", "--config", "light"), 8, 6, _samples),
    "near-perfect": Training(("near-perfect", "--set", PHOTOS, "--set", "each=false"), 1, 24, _steps, "all/log.jsonl"),
    "ae-stylegan": Training((*AE, "--set", CORPUS, "--set", "held_out=8"), 16, 16, _images),
    "ae-stylegan-drawn": Training(AE, 16, 16, _images),  # its pictures are drawn by the default generator as it goes
    "automodulator": Training(
        ("automodulator", "--config", "light", "--set", CORPUS, "--set", "held_out=8"),
        *(16, 12, _stages, "stage-0016/log.jsonl"),
    ),
}


def make_inputs(folder: Path, *, photos: bool) -> None:
    """A corpus of noise and, with `photos`, four faces that the generator draws, at 1024 pixels as photos would be."""
    noise = np.random.default_rng(0).integers(0, 256, (PICTURES, 3, SIDE, SIDE), np.uint8)
    np.save(folder / "corpus.npy", noise)
    if not photos:
        return
    (folder / "photos").mkdir()
    generator = registry.load_generator("mobile-stylegan-ffhq-1024")
    faces = draw_samples(generator, proxy.load_proxy(generator, 256), 4, 1, generator.resolution)
    for number, face in enumerate(faces):
        picture.write_picture(folder / "photos" / f"{number}.png", face)


def measure(training: Training, turns: int, changes: list[str], inputs: Path, folder: Path) -> dict[str, Any]:
    """The pace of `turns` turns, after those of a shorter training."""
    for name, count in (("warm", WARM), ("measured", turns)):
        given = [each.format(inputs=inputs) for each in training.arguments]
        for change in (*training.length(count * training.batch), *changes):
            given += ["--set", change]
        with contextlib.redirect_stdout(io.StringIO()):
            code = vidinv(["train", *given, "-o", str(folder / name)])
        if code:
            raise SystemExit(f"vidinv train {' '.join(given)} failed")
    lines = [json.loads(line) for line in (folder / "measured" / training.log).read_text().splitlines()]
    return mean_pace([line["turn"] for line in lines], [line["pace"] for line in lines], training.batch)


def row(name: str, found: dict[str, Any]) -> str:
    """A line of the table: images a second, CPU seconds' worth, and each part's CPU milliseconds and share."""
    total = max(sum(found["cpu_ms"].values()), 1e-9)
    cells = [f"{spent:9.1f} {spent / total:4.0%}" for spent in found["cpu_ms"].values()]
    return f"{name:<22}{found['images_per_s']:9.2f}{found['images_per_cpu_s']:9.2f}" + "".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trainers", nargs="*", metavar="TRAINER", help=", ".join(TRAININGS))
    parser.add_argument("--turns", type=int, help="of each; a turn is one batch")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE", help="of the recipe")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    unknown = set(args.trainers) - set(TRAININGS)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: known are {', '.join(TRAININGS)}")
    found: dict[str, Any] = {}
    print(f"{'':<22}images/s  /core s" + "".join(f"{part:>14}" for part in PARTS))
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder)
        chosen = args.trainers or list(TRAININGS)
        make_inputs(inputs, photos=any(PHOTOS in TRAININGS[name].arguments for name in chosen))
        for name in chosen:
            training = TRAININGS[name]
            found[name] = measure(training, args.turns or training.turns, args.changes, inputs, inputs / name)
            print(row(name, found[name]), flush=True)
    found["threads"] = torch.get_num_threads()
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
