"""The smallest automodulator training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vidinv.trainers.automodulator.config import AutomodulatorRecipe

TINY = AutomodulatorRecipe(size=8, channel_max=8, w_dim=8, images=(32,), batches=(8,), save_every=16)


def recipe(**changes: Any) -> AutomodulatorRecipe:
    return replace(TINY, **changes)
