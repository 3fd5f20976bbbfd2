"""Plot the losses of one or several trainings over the images seen.

python scripts/experiments/curves.py DIR ... -o curves.png

DIR is what `vidinv train feature-style`, `ae-stylegan` or `automodulator` wrote; a line each, named after its folder.
An automodulator's stages follow each other. Needs the extra [dev].
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from vidinv.trainers.core.log_file import read_log

# By training: what its log calls a loss, and what that is. Of feature-style that of x2 = G(w, F).
CURVES = {
    "feature-style": {
        "encoder/pixel2": "squared error",
        "encoder/lpips2": "LPIPS, sum over its scales",
        "encoder/id2": "1 - ArcFace similarity",
    },
    "ae-stylegan": {
        "E/pixel": "squared error of reconstructions",
        "D/loss": "discriminator",
        "G/fake": "generator, of samples",
    },
    "automodulator": {
        "encoder/reconstruction": "d_rho of reconstructions",
        "encoder/real": "divergence of pictures' codes",
        "decoder/code": "1 - cosine of z and E(G(z))",
    },
}


def draw(folders: dict[str, Path], target: Path, parts: int = 6) -> None:
    """Training losses by images seen, one line a training; `folders` by the name that is shown.

    A point of a curve is the mean over one part in `parts` of its log.
    """
    from matplotlib.figure import Figure

    logs = {name: read_log(folder) for name, folder in folders.items()}
    curves = _of_training(logs)
    figure = Figure(figsize=(4 * len(curves), 3), layout="constrained")
    for axes, (key, label) in zip(figure.subplots(1, len(curves)), curves.items(), strict=True):
        for name, lines in logs.items():
            values = {line["images"]: line[key] for line in lines if key in line}
            if values:  # a feature-style training without the feature branch has no x2
                images, found = np.array(sorted(values.items())).T  # one that was cut off logs some lines twice
                window = max(1, len(values) // parts)
                axes.plot(
                    images[window - 1 :] / 1000, np.convolve(found, np.ones(window) / window, "valid"), label=name
                )
        axes.set(xlabel="thousand images", title=label)
        axes.legend()
    figure.savefig(target, dpi=110)


def _of_training(logs: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    """The curves of the training that logs such lines."""
    known = {key for lines in logs.values() for line in lines for key in line}
    for curves in CURVES.values():
        if known & set(curves):
            return curves
    raise SystemExit(f"no training that is known logs {', '.join(sorted(known)[:8])}, ...")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    parser.add_argument("--parts", type=int, default=6, help="each point is the mean over one part in so many")
    args = parser.parse_args()
    draw({folder.name: folder for folder in args.folders}, args.output, args.parts)


if __name__ == "__main__":
    main()
