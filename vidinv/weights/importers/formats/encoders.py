"""Published layouts of encoders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vidinv.errors import UsageError, WeightsUnavailable
from vidinv.weights.importers.formats.base import Format, State, largest_number, most_common, sizes
from vidinv.weights.importers.formats.trunks import ir_se_stages, residual_stages

NOT_PROGRESSIVE, PROGRESSIVE = "GradualStyleEncoder", "Encoder4Editing"  # pSp's and e4e's names in `opts`


def _feature_style_settings(state: State) -> dict[str, Any]:
    content = [*sizes(state, r"content_layer\.(2|5)\.(weight|bias|running_mean|running_var)", 0)]
    return {
        "slots": largest_number(state, r"styles\.(\d+)\..*", "rows of w+, styles.*") + 1,
        "w_dim": most_common(sizes(state, r"styles\.\d+\.bias", 0), "latent size, styles.*"),
        "channels": most_common(content, "feature code, content_layer.*"),
        "stages": residual_stages(state, r"block_{s}\.", "residual blocks, block_*"),
    }


def _map2style_settings(state: State) -> dict[str, Any]:
    return {
        "slots": largest_number(state, r"styles\.(\d+)\..*", "rows of w+, styles.*") + 1,
        "w_dim": most_common(sizes(state, r"styles\.\d+\.(linear|convs\.\d+)\.bias", 0), "latent size, styles.*"),
        "stages": ir_se_stages(state),
    }


def _map2style_choices(beside: Mapping[str, Any], requested: Mapping[str, str]) -> dict[str, Any]:
    """Return `progressive` (e4e) and `average` (adds the average latent) from `opts` or the user's settings."""
    opts = beside.get("opts")
    opts = opts if isinstance(opts, dict) else {}
    kind = opts.get("encoder_type")
    progressive = {NOT_PROGRESSIVE: False, PROGRESSIVE: True}.get(str(kind))
    if progressive is None and kind is None and ("progressive_steps" in opts or "discriminator_state_dict" in beside):
        progressive = True  # set by e4e's training
    if "progressive" in requested:
        progressive = _yes(requested["progressive"], "progressive")
    if progressive is None:
        reason = f"opts.encoder_type is {kind!r}" if kind else "there is no opts.encoder_type"
        raise WeightsUnavailable(
            f"its keys fit both pSp's and e4e's encoder, and {reason}",
            remedy="select one: --set progressive=false for pSp, --set progressive=true for e4e",
        )
    average = opts.get("start_from_latent_avg", True)
    return {
        "progressive": progressive,
        "average": _yes(requested["average"], "average") if "average" in requested else bool(average),
    }


def _feature_style_choices(beside: Mapping[str, Any], requested: Mapping[str, str]) -> dict[str, Any]:
    """Return `at`: the generator's layer K that the feature code replaces, which the keys do not determine."""
    if "at" not in requested:
        return {}
    if not re.fullmatch(r"\d{1,3}", requested["at"], re.ASCII):
        raise UsageError(f"--set at={requested['at']!r} is not a layer", remedy="give its number, such as at=5")
    return {"at": int(requested["at"])}


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
