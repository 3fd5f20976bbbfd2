"""The published layouts of encoders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vidinv.errors import UsageError, WeightsUnavailable
from vidinv.weights.importers.formats.base import Format, State, largest, most_common, sizes
from vidinv.weights.importers.formats.trunks import residual_stages, weighed_stages

NOT_PROGRESSIVE, PROGRESSIVE = "GradualStyleEncoder", "Encoder4Editing"  # pSp's and e4e's names in `opts`


def _feature_style_settings(state: State) -> dict[str, Any]:
    content = [*sizes(state, r"content_layer\.(2|5)\.(weight|bias|running_mean|running_var)", 0)]
    return {
        "slots": largest(state, r"styles\.(\d+)\..*", "rows of w+, styles.*") + 1,
        "w_dim": most_common(sizes(state, r"styles\.\d+\.bias", 0), "latent size, styles.*"),
        "channels": most_common(content, "feature code, content_layer.*"),
        "stages": residual_stages(state, r"block_{s}\.", "residual blocks, block_*"),
    }


def _map2style_settings(state: State) -> dict[str, Any]:
    return {
        "slots": largest(state, r"styles\.(\d+)\..*", "rows of w+, styles.*") + 1,
        "w_dim": most_common(sizes(state, r"styles\.\d+\.(linear|convs\.\d+)\.bias", 0), "latent size, styles.*"),
        "stages": weighed_stages(state),
    }


def _map2style_choices(beside: Mapping[str, Any], asked: Mapping[str, str]) -> dict[str, Any]:
    """`progressive`: whether it is e4e's; `average`: whether the average latent is added. By `opts`, or as asked."""
    opts = beside.get("opts")
    opts = opts if isinstance(opts, dict) else {}
    kind = opts.get("encoder_type")
    progressive = {NOT_PROGRESSIVE: False, PROGRESSIVE: True}.get(str(kind))
    if progressive is None and kind is None and ("progressive_steps" in opts or "discriminator_state_dict" in beside):
        progressive = True  # what a training of e4e leaves
    if "progressive" in asked:
        progressive = _yes(asked["progressive"], "progressive")
    if progressive is None:
        said = f"opts.encoder_type is {kind!r}" if kind else "there is no opts.encoder_type"
        raise WeightsUnavailable(
            f"its keys are those of pSp's and of e4e's encoder, and {said}",
            remedy="say which: --set progressive=false for pSp's, --set progressive=true for e4e's",
        )
    average = opts.get("start_from_latent_avg", True)
    return {
        "progressive": progressive,
        "average": _yes(asked["average"], "average") if "average" in asked else bool(average),
    }


def _feature_style_choices(beside: Mapping[str, Any], asked: Mapping[str, str]) -> dict[str, Any]:
    """`at`: the generator's layer that the feature code replaces, K; the keys do not say it."""
    if "at" not in asked:
        return {}
    if not re.fullmatch(r"\d{1,3}", asked["at"], re.ASCII):
        raise UsageError(f"--set at={asked['at']!r} is no layer", remedy="give its number, such as at=5")
    return {"at": int(asked["at"])}


def _yes(text: str, option: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise UsageError(f"--set {option}={text!r} is neither true nor false", remedy=f"give --set {option}=true")
    return text.lower() == "true"


FORMATS = (
    Format(
        name="Feature-Style encoder",
        kind="encoder",
        architecture="feature-style",
        marks=(r"block_[1-4]\.\d+\..*", r"content_layer\.\d\..*", r"styles\.\d+\.(weight|bias)"),
        settings=_feature_style_settings,
        choices=_feature_style_choices,
        options=("at",),
    ),
    Format(
        name="pSp / e4e encoder",
        kind="encoder",
        architecture="map2style",
        marks=(r"body\.\d+\.res_layer\.\d\..*", r"styles\.\d+\.convs\.\d+\.\w+"),
        settings=_map2style_settings,
        source=lambda key: key.removeprefix("trunk."),
        choices=_map2style_choices,
        options=("progressive", "average"),
        reads=("opts",),
    ),
)
