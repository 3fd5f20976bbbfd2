"""The smallest training of a GAN encoder."""

from __future__ import annotations

from vidinv.trainers.gan_encoder.config import GanRecipe

TINY = GanRecipe(
    encoder="adaptive-tiny",
    generator="mobile-stylegan-tiny",
    samples=40,
    held_out=8,
    epochs=1,
    batch=4,
    size=32,
    save_every=16,
    network="alexnet",
)
