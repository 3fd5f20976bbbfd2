"""Convert an ONNX file to named tensors and a JSON graph for `vidinv.faces.onnx_graph.network.GraphNetwork`."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from vidinv.errors import WeightsUnavailable

VERSION = 1


def convert(members: dict[str, bytes]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Convert the single ONNX member to its constants by name and its graph as JSON in metadata["graph"].

    The JSON holds `inputs`, `outputs` (names) and `nodes`, each with `op`, `inputs`, `outputs` and `attributes`.
    The graph is not simplified: BatchNormalization, shape arithmetic and other nodes are kept.
    """
    if len(members) != 1:
        raise WeightsUnavailable(f"expected one ONNX member, got {sorted(members)}")
    graph = onnx.load_model_from_string(next(iter(members.values()))).graph
    state = {item.name: _tensor(item) for item in graph.initializer}
    nodes = []
    for node in graph.node:
        attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
        if node.op_type == "Constant":
            state[node.output[0]] = _constant(attributes)
            continue
        plain = {name: _plain(value) for name, value in attributes.items()}
        nodes.append(
            {"op": node.op_type, "inputs": list(node.input), "outputs": list(node.output), "attributes": plain}
        )
    used = {name for node in nodes for name in node["inputs"]}
    state = {name: value for name, value in state.items() if name in used}
    inputs = [item.name for item in graph.input if item.name not in state]
    layout = {"inputs": inputs, "outputs": [item.name for item in graph.output], "nodes": nodes}
    return state, {"graph": json.dumps(layout, sort_keys=True)}


def _tensor(item: onnx.TensorProto) -> Tensor:
    array = np.array(numpy_helper.to_array(item))  # a copy that owns its memory, contiguous
    return torch.from_numpy(array.astype(np.float32) if array.dtype == np.float64 else array)


def _constant(attributes: dict[str, Any]) -> Tensor:
    (value,) = attributes.values()
    return _tensor(value) if isinstance(value, onnx.TensorProto) else torch.tensor(value)


def _plain(value: Any) -> Any:
    """Convert an attribute to JSON types (numbers, text, lists); a tensor becomes a nested list."""
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value).tolist()
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (int, float, str)):
        return value
    return [_plain(item) for item in value]
