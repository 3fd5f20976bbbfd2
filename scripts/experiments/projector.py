"""Compare an autoencoder's encoder with a projector: reconstruction against CPU time, and usability of the codes.

python -m scripts.experiments.projector DIR --data corpus.npy [--space w_plus] [--count 256] [--steps 10 30 100]
    [-o projector.png]

DIR is what `vidinv train ae-stylegan` wrote. A projector descends from the mean w, for each picture on its own, by
LPIPS and the squared error; it is also started from the encoder's code. Drawn is LPIPS (VGG16) of `--shown` pictures
against CPU seconds for one, in batches of 16; printed is that, and the Frechet distances of reconstructions,
interpolations and mixtures of `--count` pictures from these, by the encoder's codes and by the projector's after
`--steps` steps (Appendix G of Deep Automodulators, whose projector is in W+). Needs the extra [dev].
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from torch import Tensor

from vidinv.bench.latent_projection import ProjectedCodes, encode_faces, project_faces
from vidinv.jobs.autoencoder import evaluation as autoencoder_evaluation
from vidinv.jobs.autoencoder import trained as trained_autoencoder
from vidinv.jobs.autoencoder.trained import BATCH, Autoencoder
from vidinv.losses.lpips import LPIPS
from vidinv.metrics.distribution import LastTap
from vidinv.process import tune_process
from vidinv.trainers.data.corpus import open_corpus

STOPS = (3, 10, 30, 100, 300, 1000)


def draw(lines: Mapping[str, Sequence[ProjectedCodes]], target: Path) -> None:
    """LPIPS by seconds, a line each; what is found once is a dot."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    for name, found in lines.items():
        shown = {"marker": "o"} if len(found) > 1 else {"marker": "*", "markersize": 14, "linestyle": "", "zorder": 9}
        axes.plot([each.seconds for each in found], [each.lpips for each in found], label=name, **shown)
    axes.set(xscale="log", xlabel="CPU seconds for one picture", ylabel="LPIPS")
    axes.legend()
    figure.savefig(target, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="a corpus; its last are taken")
    parser.add_argument("--count", type=int, default=256, help="pictures of the Frechet distances")
    parser.add_argument("--shown", type=int, default=16, help="pictures of the curve")
    parser.add_argument("--space", choices=("w", "w_plus"), default="w", help="the projector's")
    parser.add_argument("--steps", type=int, nargs="+", default=[100], help="of the projector, for the distances")
    parser.add_argument("--most", type=int, default=300, help="steps at the curve's end")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="the curve; none without it")
    args = parser.parse_args()
    tune_process()
    of = trained_autoencoder.load_autoencoder(args.folder)
    perceptual = LPIPS.load("vgg16").requires_grad_(False)
    corpus = open_corpus(args.data, of.generator.resolution).last(max(args.count, args.shown))
    real = corpus.at(list(range(len(corpus))))
    mean = of.generator.w_avg.expand(len(real), of.generator.num_ws if args.space == "w_plus" else 1, -1)
    project_faces(of, real[:BATCH], mean[:BATCH], 1, perceptual)  # the first call of a network costs more than the next
    if args.output is not None:
        lines = curves(of, real[: args.shown], mean[: args.shown], args.most, perceptual)
        draw(lines, args.output)
        for name, found in lines.items():
            for each in found:
                print(f"{name:<26} {each.steps:>5} steps {each.seconds:8.4f} s  LPIPS {each.lpips:.4f}")
    judge, measured = LastTap(perceptual), real[: args.count]
    ends = (project_faces(of, measured, mean[: args.count], steps, perceptual) for steps in args.steps)
    for end in chain([encode_faces(of, measured, perceptual)], ends):
        sets = autoencoder_evaluation.from_codes(of, end.codes)
        figures = {kind: autoencoder_evaluation.frechet(judge, measured, made) for kind, made in sets.items()}
        said = {"steps": end.steps, "n": len(measured), "seconds": end.seconds, "lpips": end.lpips}
        print(json.dumps(said | figures), flush=True)


def curves(
    of: Autoencoder, image: Tensor, mean: Tensor, most: int, perceptual: LPIPS
) -> dict[str, list[ProjectedCodes]]:
    """What is found of pictures in more and more steps: by the encoder in none, from the mean, from its codes."""
    own = encode_faces(of, image, perceptual)
    stops = [stop for stop in STOPS if stop <= most]
    code = own.codes[:, : mean.shape[1]]
    return {
        "autoencoder": [own],
        "projector": [project_faces(of, image, mean, stop, perceptual) for stop in stops],
        "projector, from its code": [own, *(project_faces(of, image, code, stop, perceptual) for stop in stops)],
    }


if __name__ == "__main__":
    main()
