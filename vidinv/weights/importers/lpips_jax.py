"""Convert LPIPS v0.1 backbones and heads: a pickle of nested dicts of arrays to tensors for `vidinv.losses.lpips`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from vidinv.errors import WeightsUnavailable
from vidinv.weights.unpickling.weight_file import read_weight_bytes

VERSION = 1


def convert(members: dict[str, bytes]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return `conv.{i}.weight` [O,I,k,k], `conv.{i}.bias` [O] and `head.{j}.weight` [1,C,1,1] (all >= 0)."""
    if len(members) != 1:
        raise WeightsUnavailable(f"expected one LPIPS checkpoint, got {sorted(members)}")
    name, content = next(iter(members.items()))
    return _rename(dict(_leaves(read_weight_bytes(content, name))))


def _leaves(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        path = f"{prefix}{key}"
        found += _leaves(value, f"{path}/") if isinstance(value, dict) else [(path, value)]
    return found


def _rename(leaves: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """`VGG16_0/Conv_3/kernel` -> `conv.3.weight`, `NetLinLayer_2/Conv_0/kernel` -> `head.2.weight`; HWIO -> OIHW."""
    state: dict[str, Tensor] = {}
    backbones = set()
    for path, array in leaves.items():
        module, layer, kind = path.split("/")
        tensor = torch.from_numpy(np.array(array, np.float32))
        if kind == "kernel":
            tensor = tensor.permute(3, 2, 0, 1).contiguous()
        if module.startswith("NetLinLayer_"):
            state[f"head.{module.rpartition('_')[2]}.weight"] = tensor
        else:
            backbones.add(module)
            state[f"conv.{layer.rpartition('_')[2]}.{'weight' if kind == 'kernel' else 'bias'}"] = tensor
    name = {"AlexNet_0": "alexnet", "VGG16_0": "vgg16"}[backbones.pop()]
    return state, {"network": f"lpips-{name}", "version": "0.1"}
