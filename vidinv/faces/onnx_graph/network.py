"""Run a converted ONNX graph as a differentiable torch module with named intermediate values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from vidinv.errors import WeightsUnavailable
from vidinv.faces.onnx_graph.ops import OPERATORS


def _slot(name: str) -> str:
    """Return the name as a valid tensor name of a module, which may not contain a dot."""
    return "value_" + name.replace(".", "__")


class GraphNetwork(nn.Module):
    """One graph: `forward(x)` returns its outputs, `forward(x, taps=(...))` the named values instead.

    Weights are frozen parameters, gradients flow to the input; the batch size may differ from the one in the file.
    A convolution read only by a BatchNormalization is folded with it. Weights and features are channels last, which is
    up to a third faster on a CPU and equal up to rounding.
    """

    def __init__(self, graph: dict[str, Any], state: dict[str, Tensor]) -> None:
        super().__init__()
        unknown = sorted({node["op"] for node in graph["nodes"]} - OPERATORS.keys())
        if unknown:
            raise WeightsUnavailable(f"the graph uses operators this version cannot run: {', '.join(unknown)}")
        state = dict(state)
        self.nodes = _fold_batch_norm(graph["nodes"], state, keep=set(graph["outputs"]))
        self.input_names: tuple[str, ...] = tuple(graph["inputs"])
        self.output_names: tuple[str, ...] = tuple(graph["outputs"])
        for name, value in state.items():
            if value.is_floating_point():
                self.register_parameter(_slot(name), nn.Parameter(value, requires_grad=False))
            else:
                # Shapes and indices are Python-side numbers: they stay on the CPU whatever the device.
                object.__setattr__(self, _slot(name), value)
        self._names = tuple(state)

    @classmethod
    def load(cls, path: str | Path) -> GraphNetwork:
        """Read a safetensors file written by `vidinv.weights.importers.onnx_graph`."""
        with safe_open(str(path), "pt") as archive:
            graph = json.loads((archive.metadata() or {}).get("graph", "null"))
            state = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
        if graph is None:
            raise WeightsUnavailable(f"{path} does not contain a graph", remedy="run `vidinv weights pull` again")
        return cls(graph, state).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, *inputs: Tensor, taps: tuple[str, ...] = ()) -> tuple[Tensor, ...]:
        """Run `inputs` in the graph's order, the first [N, ...]; return the outputs, or the values named in `taps`."""
        if len(inputs) != len(self.input_names):
            raise ValueError(f"the graph takes {len(self.input_names)} inputs, got {len(inputs)}")
        wanted = taps or self.output_names
        nodes, last_use = self._plan(wanted)
        constants = {name: getattr(self, _slot(name)) for name in self._names}
        values: dict[str, Tensor] = dict(zip(self.input_names, inputs, strict=True))
        for step, node in enumerate(nodes):
            arguments = [None if not name else values.get(name, constants.get(name)) for name in node["inputs"]]
            values[node["outputs"][0]] = OPERATORS[node["op"]](node["attributes"], *arguments)
            for name in last_use[step]:
                values.pop(name, None)
        return tuple(values[name] for name in wanted)

    def _plan(self, wanted: tuple[str, ...]) -> tuple[list[dict[str, Any]], list[list[str]]]:
        """Return the nodes that `wanted` needs, in order, and for each node the values that are last used by it."""
        known = {output for node in self.nodes for output in node["outputs"]}
        missing = [name for name in wanted if name not in known]
        if missing:
            raise KeyError(f"the graph has no value named {missing}")
        needed = set(wanted)
        nodes: list[dict[str, Any]] = []
        for node in reversed(self.nodes):
            if needed & set(node["outputs"]):
                needed |= set(node["inputs"])
                nodes.append(node)
        nodes.reverse()
        seen, last_use = set(wanted), []
        for node in reversed(nodes):
            last_use.append([name for name in node["inputs"] if name not in seen])
            seen |= set(node["inputs"])
        last_use.reverse()
        return nodes, last_use


@torch.no_grad()
def _fold_batch_norm(nodes: list[dict[str, Any]], state: dict[str, Tensor], keep: set[str]) -> list[dict[str, Any]]:
    """Fold y = BN(conv(x)) into the convolution; changes `state`, returns the nodes left."""
    readers: dict[str, int] = {}
    for name in (name for node in nodes for name in node["inputs"]):
        readers[name] = readers.get(name, 0) + 1
    made_by: dict[str, dict[str, Any]] = {}
    result: list[dict[str, Any]] = []
    for node in nodes:
        source = node["inputs"][0] if node["op"] == "BatchNormalization" else ""
        conv = made_by.get(source)
        if conv is None or readers[source] != 1 or source in keep or readers[conv["inputs"][1]] != 1:
            copied = dict(node)
            result.append(copied)
            if node["op"] == "Conv":
                made_by[node["outputs"][0]] = copied
            continue
        gamma, beta, mean, var = (state.pop(name) for name in node["inputs"][1:])
        scale = gamma * (var + node["attributes"].get("epsilon", 1e-5)).rsqrt()
        weight = conv["inputs"][1]
        bias = state[conv["inputs"][2]] if len(conv["inputs"]) > 2 else torch.zeros_like(mean)
        state[weight] = state[weight] * scale.reshape(-1, 1, 1, 1)
        state[f"{weight}.folded_bias"] = beta + (bias - mean) * scale
        conv["inputs"] = [conv["inputs"][0], weight, f"{weight}.folded_bias"]
        conv["outputs"] = node["outputs"]
    return result
