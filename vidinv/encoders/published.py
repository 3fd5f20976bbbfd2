"""Build imported encoders from an import's facts; `registry.load_encoder(name)` loads them by name.

An encoder belongs to one generator, which defines the latent space, the layer that the feature code replaces, and the
average latent that is added to the codes if the encoder's file has none.
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
    """List every imported encoder."""
    return imported.names(KIND)


def build_published(facts: ImportedFacts) -> Encoder:
    """Build the untrained network of an import's facts, with a zero average latent."""
    settings = dict(facts.settings)
    w_dim = settings.pop("w_dim")
    settings["stages"] = tuple(tuple(stage) for stage in settings["stages"])  # lists, out of a JSON
    return FAMILIES[facts.architecture](facts.space, w_avg=torch.zeros(w_dim), **settings)


def bind_settings(settings: dict[str, Any], generator: Generator) -> dict[str, Any]:
    """Return an encoder's settings with the layer of this generator that its feature code replaces.

    Raises WeightsUnavailable if the codes do not match the generator, UsageError if the feature does not.
    """
    rows, wanted = (settings["slots"], settings["w_dim"]), (generator.num_ws, generator.w_dim)
    if rows != wanted:
        raise WeightsUnavailable(
            f"its heads, styles.0 to styles.{rows[0] - 1}, give codes of {_by(rows)}, "
            f"{generator.name} takes {_by(wanted)}",
            remedy="give the generator for which it was trained",
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
