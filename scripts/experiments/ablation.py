"""Compare Feature-Style trainings with and without each component at the same small budget, as a table and curves.

python -m scripts.experiments.ablation -o runs/ablation --faces FOLDER --images 2400 [--pool POOL] [--curves curves.png]

FOLDER holds held-out aligned faces. A is the paper's "no multi-scale LPIPS", B its "no feature branch" (Table 4).
Finished trainings are reused and interrupted ones are resumed. Curves need the extra [dev].
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scripts.experiments import curves
from vidinv import config_loading
from vidinv.cli.main import main as vidinv
from vidinv.trainers.feature_style.config import FeatureStyleRecipe

SHARED = ("size=256", "lpips_scales=3")  # the smallest pictures that three scales of LPIPS can judge
VARIANTS = {"baseline": (), "A": ("lpips_scales=1",), "B": ("feature_branch=false",)}
PAPER = {  # Table 4, after 480 000 images half of which are photos; ID is of another ArcFace, LPIPS of another network
    "baseline": {"ssim": 0.641, "psnr": 23.65, "lpips": 0.066, "id": 0.867},
    "A": {"ssim": 0.647, "psnr": 24.01, "lpips": 0.056, "id": 0.874},
    "B": {"ssim": 0.489, "psnr": 19.44, "lpips": 0.192, "id": 0.635},
}
METRICS = ("psnr", "ssim", "lpips", "id", "id_other", "frechet_mobilenet_v2")


def train(name: str, args: argparse.Namespace) -> Path:
    """The variant's folder, trained to the end."""
    folder = args.output / name
    changes = [*SHARED, *VARIANTS[name], f"images={args.images}", f"warmup={args.images // 10}", *args.changes]
    options = [part for change in changes for part in ("--set", change)]
    place = ["-o", str(folder), *options, *(["--pool", str(args.pool)] if args.pool else [])]
    record = folder / "recipe.yaml"
    if record.exists():
        asked = config_loading.load_dataclass(FeatureStyleRecipe, "train/feature_style", "light", changes)
        if asked != config_loading.load_dataclass(FeatureStyleRecipe, "train/feature_style", str(record)):
            raise SystemExit(f"{folder} was trained by another recipe: give another -o, or the same options")
        place = ["--resume", str(folder)]
    if (folder / "encoder.safetensors").exists():
        return folder
    if vidinv(["train", "feature-style", *place]) != 0:
        raise SystemExit(f"the training {folder} failed")
    return folder


def judge(folder: Path, faces: Path) -> dict[str, float]:
    """Metrics of the encoder alone on the faces."""
    table = folder / "evaluation.json"
    options = ["--method", "encoder", "--frechet", "--encoder", str(folder / "encoder.safetensors")]
    if vidinv(["evaluate", "inversion", "--data", str(faces), "--aligned", *options, "--json", str(table)]) != 0:
        raise SystemExit(f"{folder} could not be measured")
    return dict(json.loads(table.read_text())["encoder"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--faces", type=Path, required=True, metavar="FOLDER", help="aligned, never trained on")
    parser.add_argument("--images", type=int, default=2400, help="budget of each training")
    parser.add_argument("--pool", type=Path, metavar="DIR", help="synthetic samples that are drawn already")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE", help="of the recipe")
    parser.add_argument("--only", action="append", choices=VARIANTS, help="repeatable")
    parser.add_argument("--curves", type=Path, metavar="FILE", help="draw the training losses")
    args = parser.parse_args()
    folders = {name: train(name, args) for name in args.only or VARIANTS}
    rows = {name: judge(folder, args.faces) for name, folder in folders.items()}
    table = Table("", *METRICS, title=f"{args.images} images each; the paper's Table 4 in brackets")
    for name, row in rows.items():
        cells = [f"{row[key]:.3f}" + (f" ({PAPER[name][key]})" if key in PAPER[name] else "") for key in METRICS]
        table.add_row(name, *cells)
    Console(width=120).print(table)
    if args.curves:
        curves.draw(folders, args.curves)


if __name__ == "__main__":
    main()
