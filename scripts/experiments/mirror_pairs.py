"""Measure what an automodulator's coarse blocks encode.

python -m scripts.experiments.mirror_pairs DIR ... --data corpus.npy

For pictures and their mirror images: how far the picture drawn of one's code with the coarse blocks (4x4 and the first
8x8) of the other's is from the mirror image, and how far those of either whole code are. L_inv wants the first small
and both whole codes to draw what they were made of.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from vidinv.jobs.autoencoder import trained as trained_autoencoder
from vidinv.jobs.autoencoder.trained import Autoencoder
from vidinv.trainers.automodulator.losses import mixture
from vidinv.trainers.data.corpus import open_corpus

BLOCKS = 2


@torch.no_grad()
def errors(of: Autoencoder, pictures: Tensor) -> dict[str, float]:
    """Mean squared errors on [N,3,S,S] in [-1,1]."""
    mirrored, slots = pictures.flip(3), of.generator.num_ws
    own, other = (of.encode(each)[:, 0] for each in (pictures, mirrored))
    drawn = {
        "coarse blocks of the mirror image's code, to the mirror image": (mixture(other, own, slots, BLOCKS), mirrored),
        "the picture's own code, to the picture": (mixture(own, own, slots, BLOCKS), pictures),
        "the picture's own code, to the mirror image": (mixture(own, own, slots, BLOCKS), mirrored),
    }
    return {what: float(functional.mse_loss(of.draw(ws), wanted)) for what, (ws, wanted) in drawn.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("--data", type=Path, required=True, help="a corpus, of which the last are taken")
    parser.add_argument("--count", type=int, default=1000)
    args = parser.parse_args()
    for folder in args.folders:
        of = trained_autoencoder.load_autoencoder(folder)
        corpus = open_corpus(args.data, of.generator.resolution)
        pictures = corpus.last(args.count).at(list(range(args.count)))
        print(folder, *(f"{what}: {error:.3f}" for what, error in errors(of, pictures).items()), sep="\n  ")


if __name__ == "__main__":
    main()
