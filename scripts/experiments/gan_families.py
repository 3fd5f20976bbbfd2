"""Pre-train each generator family's adaptive encoder at a tiny size and print held-out figures before and after.

python scripts/experiments/gan_families.py [--steps 500] [--lpips] [--json FILE]

Seeded random generators of 32 to 64 pixels, the paper's optimiser and losses; LPIPS, by far the most expensive
of them, is used on request only (VGG16, in the weights cache).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from torch import Tensor

from vidinv.generators import registry
from vidinv.losses.lpips import LPIPS
from vidinv.losses.reconstruction import Distance
from vidinv.trainers.gan_encoder import evaluate as gan_evaluate
from vidinv.trainers.gan_encoder import train as gan_encoder
from vidinv.trainers.gan_encoder.config import GanRecipe
from vidinv.trainers.gan_encoder.train import GanEvaluators

FAMILIES = {  # truncation as the paper has it
    "pggan-tiny": 1.0,
    "stylegan1-tiny": 0.7,
    "stylegan2-tiny": 0.7,
    "mobile-stylegan-tiny": 0.7,
    "biggan-tiny": 0.4,
}


def none(a: Tensor, b: Tensor) -> Tensor:
    """What stands for LPIPS where it is not asked for."""
    return a.new_zeros(len(a))


def train(name: str, steps: int, perceptual: Distance) -> dict[str, Any]:
    """The whole picture's figures on 100 held-out samples, untrained and after so many steps of 4."""
    generator = registry.load_generator(name)
    recipe = GanRecipe(
        encoder="adaptive-tiny",
        generator=name,
        samples=4 * steps + 100,
        held_out=100,
        epochs=1,
        batch=4,
        size=generator.resolution,
        truncation=FAMILIES[name],
        perceptual=0.0 if perceptual is none else 2.0,
        fade=0.1,
    )
    setup = gan_encoder.set_up(gan_encoder.render_context(recipe, generator, GanEvaluators(perceptual)))
    held = gan_encoder.split_fold(recipe)[1]
    before = gan_evaluate.evaluate_encoder(
        setup.encoder, setup.context, gan_evaluate.sample_batches(setup.context, held)
    )["whole"]
    setup.encoder.train()
    with tempfile.TemporaryDirectory() as folder:
        state = gan_encoder.pretrain(setup, Path(folder))
    setup.encoder.load_state_dict(state)
    after = gan_evaluate.evaluate_encoder(
        setup.encoder, setup.context, gan_evaluate.sample_batches(setup.context, held)
    )["whole"]
    return {"before": before, "after": after}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--lpips", action="store_true", help="with the perceptual part")
    parser.add_argument("--only", action="append", choices=FAMILIES, help="repeatable")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    perceptual = LPIPS.load("vgg16") if args.lpips else none
    rows = {name: train(name, args.steps, perceptual) for name in args.only or FAMILIES}
    shown = ("psnr", "ssim", *(["lpips"] if args.lpips else []))
    table = Table("", *shown, title=f"100 held-out samples, before and after {args.steps} steps of 4")
    for name, row in rows.items():
        cells = (f"{row['before'][key]:.3f} -> {row['after'][key]:.3f}" for key in shown)
        table.add_row(name, *cells)
    Console(width=110).print(table)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
