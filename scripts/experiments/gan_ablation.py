"""Ablate the attentions and SSIM of the GAN-encoder training: the paper's tables 6 and 7 at small scale.

python scripts/experiments/gan_ablation.py -o runs/gan-ablation --samples 1200 [--set KEY=VALUE ...]

Every variant is trained from the same start on the same samples (recipe light) and evaluated on the same held-out
samples: whole, and at AT1 and AT2. Finished trainings are reused and interrupted ones are resumed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vidinv.cli.main import main as vidinv
from vidinv.trainers.gan_encoder.evaluate import Figures

VARIANTS = {
    "no attention": ("attention=none",),
    "AT1": ("attention=at1",),
    "AT1, AT2": (),
    "AT1, AT2, no SSIM": ("ssim=0",),
}
PAPER = {  # PSNR of tables 6 (whole, AT1, AT2) and 7 (real faces after 1 500 iterations)
    "no attention": {"whole": "18.97", "at1": "19.65", "at2": "20.79"},
    "AT1": {"whole": "18.82", "at1": "19.76", "at2": "20.72"},
    "AT1, AT2": {"whole": "18.75; real 23.07", "at1": "19.71", "at2": "21.23"},
    "AT1, AT2, no SSIM": {"whole": "real 21.92"},
}


def train(name: str, args: argparse.Namespace) -> Figures:
    """What the variant reaches on samples that it never saw."""
    folder = args.output / name.replace(", ", "-").replace(" ", "-").lower()
    held = max(args.samples // 6, 1)
    changes = [f"samples={args.samples + held}", f"held_out={held}", *VARIANTS[name], *args.changes]
    options = [part for change in changes for part in ("--set", change)]
    if not (folder / "evaluation.json").exists():
        place = ["--resume" if (folder / "recipe.yaml").exists() else "-o", str(folder)]
        if vidinv(["train", "gan-encoder", *place, "--config", "light", *options]) != 0:
            raise SystemExit(f"the training {folder} failed")
    figures: Figures = json.loads((folder / "evaluation.json").read_text())["held-out"]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/gan-ablation"))
    parser.add_argument("--samples", type=int, default=1200, help="that each variant learns from, once")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE", help="of the recipe")
    parser.add_argument("--only", action="append", choices=VARIANTS, help="repeatable")
    args = parser.parse_args()
    table = Table("", "view", "PSNR (paper's)", "SSIM", "LPIPS", title=f"{args.samples} samples each")
    for name in args.only or VARIANTS:
        for view, row in train(name, args).items():
            paper = PAPER[name].get(view, "-")
            table.add_row(name, view, f"{row['psnr']:.2f} ({paper})", f"{row['ssim']:.3f}", f"{row['lpips']:.3f}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
