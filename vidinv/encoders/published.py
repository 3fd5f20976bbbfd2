"""Imported encoders: what a file's facts are built as. `registry.load_encoder(name)` finds them by the name they were given.

An encoder gives codes of one generator: its latent space, and the layer that the feature code replaces, are the
generator's, and so is the average latent that is added to the codes where the encoder's file has none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from vidinv.encoders import feature_style, map2style
from vidinv.encoders.base import Encoder
from vidinv.errors import UsageError, WeightsUnavailable
from vidinv.generators.base import Generator
from vidinv.weights import imported
from vidinv.weights.imported import ImportedFacts

KIND = "encoder"
STYLE_SIDE = 16  # of the last layer of which a published feature code replaces the output (K = 5)
FAMILIES: dict[str, Callable[..., Encoder]] = {
    "feature-style": feature_style.FeatureStyle,
    "map2style": map2style.MapToStyle,
}


def names() -> list[str]:
    """Every imported encoder."""
    return imported.names(KIND)


def build_published(facts: ImportedFacts) -> Encoder:
    """An untrained network of the family, its average latent zero."""
    settings = dict(facts.settings)
    w_dim = settings.pop("w_dim")
    settings["stages"] = tuple(tuple(stage) for stage in settings["stages"])  # lists, out of a JSON
    return FAMILIES[facts.architecture](facts.space, w_avg=torch.zeros(w_dim), **settings)


def bound(settings: dict[str, Any], generator: Generator) -> dict[str, Any]:
    """The settings of an encoder, with the layer of this generator that its feature code replaces.

    Raises WeightsUnavailable where the encoder's codes cannot be the generator's, UsageError where no feature can.
    """
    rows, wanted = (settings["slots"], settings["w_dim"]), (generator.num_ws, generator.w_dim)
    if rows != wanted:
        raise WeightsUnavailable(
            f"its heads, styles.0 to styles.{rows[0] - 1}, give codes of {_by(rows)}, "
            f"{generator.name} takes {_by(wanted)}",
            remedy="give the generator that it was trained for",
        )
    last = max((k for k, spec in enumerate(generator.layers) if spec.resolution <= STYLE_SIDE), default=0)
    at = settings.get("at", last)
    if at >= len(generator.layers):
        raise UsageError(
            f"{generator.name} has no layer {at}", remedy=f"give --set at=K, K from 0 to {len(generator.layers) - 1}"
        )
    layer = generator.layers[at]
    if "channels" not in settings:  # w+ alone
        return settings | {"at": at}
    if settings["channels"] != layer.channels or layer.resolution not in feature_style.SIDES:
        sides = " or ".join(map(str, feature_style.SIDES))
        raise UsageError(
            f"the encoder's feature code has {settings['channels']} channels of {sides} pixels, layer {at} of "
            f"{generator.name} {layer.channels} of {layer.resolution}",
            remedy="give another layer with --set at=K",
        )
    return settings | {"at": at, "feature_side": layer.resolution}


def _by(sides: tuple[int, int]) -> str:
    return "x".join(map(str, sides))
