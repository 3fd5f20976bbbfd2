"""Draw the losses of one or several trainings by images seen: python scripts/curves.py DIR ... -o curves.png

DIR is what `vidinv train feature-style` wrote; a line each, named after its folder. Needs the extra [dev].
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

# Of x2 = G(w, F).
CURVES = {"pixel2": "squared error", "lpips2": "LPIPS, sum over its scales", "id2": "1 - ArcFace similarity"}
SMOOTH = 6  # a point of a curve is the mean over one part in so many of its log


def draw(folders: dict[str, Path], target: Path) -> None:
    """Training losses by images seen, one line a training; `folders` by the name that is shown."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(CURVES), 3), layout="constrained")
    for axes, (key, label) in zip(figure.subplots(1, len(CURVES)), CURVES.items(), strict=True):
        for name, folder in folders.items():
            lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
            values = {line["images"]: line[f"encoder/{key}"] for line in lines if f"encoder/{key}" in line}
            if values:  # a training without the feature branch has no x2
                images, found = np.array(sorted(values.items())).T  # one that was cut off logs some lines twice
                window = max(1, len(values) // SMOOTH)
                axes.plot(images[window - 1 :], np.convolve(found, np.ones(window) / window, "valid"), label=name)
        axes.set(xlabel="images", title=label)
        axes.legend()
    figure.savefig(target, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    args = parser.parse_args()
    draw({folder.name: folder for folder in args.folders}, args.output)


if __name__ == "__main__":
    main()
