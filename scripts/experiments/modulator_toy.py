"""Test automodulator loss weights on a toy dataset: discs of 8x8 pixels, 600 steps of 16, in seconds on one core.

    python -m scripts.experiments.modulator_toy --set divergence=0.1 --set code=0.195

prints the mean squared error of pictures it never saw, beside that of their mean and of their own mean colour; the
cosine of a z and what the encoder says of its sample; and how much samples and pictures vary.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from torch.nn.functional import cosine_similarity

from vidinv import config_loading
from vidinv.trainers.automodulator import train as automodulator
from vidinv.trainers.automodulator.config import AutomodulatorRecipe
from vidinv.trainers.data.toy_images import Blobs

SIDE, UNSEEN = 8, 10**9
TOY = {
    **{"size": SIDE, "first": SIDE, "channel_max": 16, "w_dim": 16, "halves_from": 64, "images": [9600]},
    **{"batches": [16], "rates": [2e-3], "save_every": 10**9},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the paper's recipe")
    args = parser.parse_args()
    recipe = config_loading.load_dataclass(AutomodulatorRecipe, "train/automodulator", "paper", args.set, TOY)
    with tempfile.TemporaryDirectory() as folder:
        decoder, encoder = automodulator.train(recipe, Blobs, Path(folder))
    image = Blobs(SIDE).draw(256, UNSEEN)
    with torch.no_grad():
        again = decoder.synthesize(encoder(image).ws)
        z = decoder.sample(256, seed=1)
        samples = decoder.synthesize(decoder.broadcast(z))
        code = float(cosine_similarity(encoder(samples).ws[:, 0], z).mean())
    grey, own = image.mean((0, 2, 3), keepdim=True), image.mean((2, 3), keepdim=True)
    errors = [float((made - image).square().mean()) for made in (again, grey, own)]
    print("error {:.3f}, of the mean {:.3f}, of the own colour {:.3f}".format(*errors), end="; ")
    spread = [float(made.std(0).mean()) for made in (samples, image)]
    print("cosine of codes {:.2f}; samples vary by {:.2f}, pictures by {:.2f}".format(code, *spread))


if __name__ == "__main__":
    main()
