"""The smallest AE-StyleGAN training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vidinv.trainers.ae_stylegan.config import AeRecipe

TINY = AeRecipe(
    size=16,
    channel_multiplier=1 / 32,
    channel_max=16,
    w_dim=16,
    mapping_layers=2,
    images=64,
    batch=8,
    r1_every=4,
    perceptual=0.0,
    network="none",
    save_every=16,
    ema_kimg=0.05,
)


def recipe(**changes: Any) -> AeRecipe:
    return replace(TINY, **changes)
