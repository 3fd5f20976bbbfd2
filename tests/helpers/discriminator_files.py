"""A discriminator, and a checkpoint of a training that holds it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from vidinv.generators import stylegan2
from vidinv.generators.stylegan2_discriminator import Discriminator

State = dict[str, Any]


def judge(resolution: int = 32, seed: int = 5) -> Discriminator:
    """Wider in its middle than at its ends."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Discriminator(resolution, channel_multiplier=8 * resolution / 16384, channel_max=24)


def checkpoint(path: Path, change: Callable[[State], object] = lambda held: None) -> Path:
    """A rosinality checkpoint of a training; `change` is done to it before it is written."""
    discriminator = {key: value.clone() for key, value in judge().state_dict().items()}
    held: State = {"g": {}, "d": discriminator, "g_ema": stylegan2.tiny().state_dict(), "g_optim": {"state": {}}}
    change(held)
    torch.save(held, path)
    return path
