"""Published layouts of face networks: recognition, parsing, landmarks."""

from __future__ import annotations

from typing import Any

from vidinv.weights.importers.formats.base import Format, State, count_numbers, most_common, sizes
from vidinv.weights.importers.formats.trunks import STATISTICS, ir_se_stages, residual_stages


def _iresnet_settings(state: State) -> dict[str, Any]:
    dims = [*sizes(state, rf"features\.{STATISTICS}", 0), *sizes(state, r"fc\.(weight|bias)", 0)]
    return {
        "stages": residual_stages(state, r"layer{s}\.", "residual blocks, layer*"),
        "dim": most_common(dims, "embedding, fc and features"),
    }


def _weighed_settings(state: State) -> dict[str, Any]:
    dims = [*sizes(state, rf"output_layer\.4\.{STATISTICS}", 0), *sizes(state, r"output_layer\.3\.(weight|bias)", 0)]
    return {"stages": ir_se_stages(state), "dim": most_common(dims, "embedding, output_layer.*")}


def _bisenet_settings(state: State) -> dict[str, Any]:
    widths = sizes(state, rf"cp\.resnet\.(bn1|layer1\.[01]\.bn[12])\.{STATISTICS}", 0)
    return {"width": most_common(widths, "channels, cp.resnet.*")}


def _fan_settings(state: State) -> dict[str, Any]:
    return {
        "modules": count_numbers(state, r"m(\d+)\..*", "hourglasses, m*"),
        "width": most_common(sizes(state, rf"bn_end\d+\.{STATISTICS}", 0), "channels, bn_end*"),
        "depth": count_numbers(state, r"m\d+\.b1_(\d+)\..*", "hourglasses' depth, m*.b1_*"),
    }


FORMATS = (
    Format(
        name="ArcFace iresnet",
        kind="identity",
        architecture="iresnet",
        marks=(r"layer[1-4]\.\d+\.prelu\.weight", r"layer[1-4]\.\d+\.bn3\..*", r"(fc|features)\..*"),
        settings=_iresnet_settings,
    ),
    Format(
        name="ArcFace IR-SE",
        kind="identity",
        architecture="ir-se",
        marks=(r"body\.\d+\.res_layer\.5\.fc\d\..*", r"output_layer\.\d\..*"),
        settings=_weighed_settings,
        source=lambda key: key.removeprefix("trunk."),
    ),
    Format(
        name="BiSeNet face parsing",
        kind="parser",
        architecture="bisenet",
        marks=(r"cp\.resnet\..*", r"cp\.arm\d+\..*", r"ffm\..*"),
        settings=_bisenet_settings,
    ),
    Format(
        name="FAN",
        kind="landmarks",
        architecture="fan",
        marks=(r"m\d+\.b2_plus_1\..*", r"top_m_\d+\..*", r"l\d+\.(weight|bias)"),
        settings=_fan_settings,
    ),
)
