"""Published layouts of discriminators, which are imported only together with a generator."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

from vidinv.weights.importers.formats.base import Format, State, largest_number, numbers, sizes
from vidinv.weights.importers.formats.generators import binomial_filter, stylegan2_sizes

KIND = "discriminator"
ADA_PARTS = {
    "fromrgb.weight": "convs.0.0.weight",
    "fromrgb.bias": "convs.0.1.bias",
    "conv0.weight": "convs.{}.conv1.0.weight",
    "conv0.bias": "convs.{}.conv1.1.bias",
    "conv1.weight": "convs.{}.conv2.1.weight",
    "conv1.bias": "convs.{}.conv2.2.bias",
    "skip.weight": "convs.{}.skip.1.weight",
    "conv.weight": "final_conv.0.weight",
    "conv.bias": "final_conv.1.bias",
    "fc.weight": "final_linear.0.weight",
    "fc.bias": "final_linear.0.bias",
    "out.weight": "final_linear.1.weight",
    "out.bias": "final_linear.1.bias",
}


def _settings(state: State) -> dict[str, Any]:
    resolution = 4 << largest_number(state, r"convs\.(\d+)\.conv1\..*", "resolution")
    widths = [*sizes(state, r"convs\.0\.(0\.weight|1\.bias)", 0), *sizes(state, r"convs\.1\.conv1\.0\.weight", 1)]
    most = sizes(state, r"final_(conv\.0\.weight|conv\.1\.bias|linear\.0\.bias)", 0)
    return stylegan2_sizes(resolution, widths, most)


def _from_ada(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename StyleGAN2-ADA's blocks, named by side, to ours, which are counted from the largest."""
    first = max(numbers(state, r"b(\d+)\.conv0\..*"), default=0).bit_length() + 1
    made = {}
    for key, value in state.items():
        found = re.fullmatch(r"b(\d+)\.(.+)", key)
        ours = ADA_PARTS.get(found[2], key).format(first - int(found[1]).bit_length()) if found else key
        made[ours] = value
    return made


FORMATS = (
    Format(
        name="rosinality StyleGAN2 discriminator",
        kind=KIND,
        architecture="stylegan2",
        marks=(r"convs\.\d+\.conv1\.0\.weight", r"convs\.\d+\.skip\.1\.weight", r"final_linear\.0\.weight"),
        settings=_settings,
    ),
    Format(
        name="NVIDIA StyleGAN2-ADA discriminator",
        kind=KIND,
        architecture="stylegan2",
        marks=(r"b\d+\.conv0\.weight", r"b\d+\.skip\.weight", r"b4\.fc\.weight"),
        settings=_settings,
        prepared=_from_ada,
        idle=binomial_filter,
        constant=r".*\.kernel",
    ),
)
