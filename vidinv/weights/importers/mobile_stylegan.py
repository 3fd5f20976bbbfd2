"""Convert MobileStyleGAN FFHQ-1024 from its OpenVINO IR (XML graph and binary constants) to a state dict.

The IR is read with a standard XML parser; OpenVINO is only the reference in a test. Unnamed constants (the
pointwise convolutions with demodulation folded in, and the frozen noise maps) are found by walking the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np
import torch
from defusedxml import ElementTree
from numpy.typing import NDArray
from torch import Tensor

VERSION = 1
FOLDER = "random_face/data/"
MAPPING_SIZE = 8
TYPES = {"f32": np.float32, "i64": np.int64, "i32": np.int32}


@dataclass(frozen=True)
class Node:
    """One IR layer: its operation, the ids of its inputs, and its value if it is a constant."""

    name: str
    kind: str
    reads: tuple[str, ...]
    value: NDArray[np.generic] | None


def convert(members: dict[str, bytes]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Convert members `random_face/data/{Mapping,Synthesis}Network.{xml,bin}` to the state of `MobileStyleGAN`.

    Modulation scales are folded into the modulation's weight and bias, so that style = W w + b needs no scaling.
    """
    mapping = read_graph(members[FOLDER + "MappingNetwork.xml"], members[FOLDER + "MappingNetwork.bin"])
    synthesis = read_graph(members[FOLDER + "SynthesisNetwork.xml"], members[FOLDER + "SynthesisNetwork.bin"])
    state = _mapping_state(mapping) | _synthesis_state(synthesis)
    state["w_avg"] = _average_latent(state)
    return state, {"architecture": "mobile-stylegan", "resolution": "1024", "source": "random_face 2021.7.21.1"}


def read_graph(xml: bytes, binary: bytes) -> dict[str, Node]:
    """Parse the IR into nodes by id, in graph order."""
    root: Element = ElementTree.fromstring(xml)
    layers, edges = root.find("layers"), root.find("edges")
    if layers is None or edges is None:
        raise ValueError("not an OpenVINO IR: <layers> or <edges> is missing")
    reads: dict[str, list[tuple[int, str]]] = {}
    for edge in edges:
        reads.setdefault(edge.attrib["to-layer"], []).append((int(edge.attrib["to-port"]), edge.attrib["from-layer"]))
    nodes = {}
    for layer in layers:
        key, value = layer.attrib["id"], None
        if layer.attrib["type"] == "Const":
            value = _constant(layer, binary)
        inputs = tuple(source for _, source in sorted(reads.get(key, [])))
        nodes[key] = Node(layer.attrib["name"], layer.attrib["type"], inputs, value)
    return nodes


def _constant(layer: Element, binary: bytes) -> NDArray[np.generic]:
    data = layer.find("data")
    if data is None:
        raise ValueError(f"constant {layer.attrib['name']} has no data")
    offset, size = int(data.attrib["offset"]), int(data.attrib["size"])
    shape = [int(side) for side in data.attrib["shape"].split(",") if side.strip()]
    return np.frombuffer(binary[offset : offset + size], TYPES[data.attrib["element_type"]]).reshape(shape)


def _mapping_state(nodes: dict[str, Node]) -> dict[str, Tensor]:
    large = [node.value for node in nodes.values() if node.value is not None and node.value.size >= 512]
    if [value.ndim for value in large] != [2, 1] * MAPPING_SIZE:
        raise ValueError(f"the mapping network has {len(large)} weights, expected 8 matrices and 8 biases in turn")
    state = {}
    for index in range(MAPPING_SIZE):
        state[f"mapping.{index}.weight"] = _tensor(large[2 * index])  # [out, in]
        state[f"mapping.{index}.bias"] = _tensor(large[2 * index + 1])
    return state


def _synthesis_state(nodes: dict[str, Node]) -> dict[str, Tensor]:
    named = {node.name: node.value for node in nodes.values() if node.value is not None}
    ordered = [node.value for node in nodes.values() if node.value is not None and node.kind == "Const"]
    maps = [value for value in ordered if value.ndim == 4 and value.shape[:2] == (1, 1) and value.shape[2] > 1]
    maps = [value for value in maps if value.shape[2] == value.shape[3]]
    mixes = [value for name, value in named.items() if name.endswith("_copy")]
    if len(maps) != 15 or len(mixes) != 15:
        raise ValueError(f"expected 15 noise maps and 15 pointwise convolutions, found {len(maps)} and {len(mixes)}")
    scales = _modulation_scales(nodes)
    layers = ["conv1"] + [f"layers.{i}.{part}" for i in range(7) for part in ("conv1", "conv2")]
    state = {"const": _tensor(named["m.input.input"])}
    for layer, noise, mix in zip(layers, maps, mixes, strict=True):
        target = layer.replace("layers.", "blocks.") if layer != "conv1" else "stem"
        state |= _modulation(named, scales, f"m.{layer}.conv.modulation", f"{target}.style")
        state[f"{target}.weight"] = _tensor(mix)
        state[f"{target}.noise"] = _tensor(noise)
        state[f"{target}.bias"] = _tensor(named[f"m.{layer}.bias"])
        if layer != "conv1":
            state[f"{target}.depthwise"] = _tensor(named[f"m.{layer}.conv.weight_dw"])[:, 0]  # [C,1,1,3,3] -> [C,1,3,3]
    for index in range(7):
        state |= _modulation(named, scales, f"m.layers.{index}.up.modulation", f"blocks.{index}.up")
    state |= _modulation(named, scales, "m.layers.6.to_img.conv.modulation", "to_image.style")
    state["to_image.weight"] = _tensor(named["m.layers.6.to_img.conv.weight"])
    state["to_image.bias"] = _tensor(named["m.layers.6.to_img.bias"])
    return state


def _modulation_scales(nodes: dict[str, Node]) -> dict[str, float]:
    """Return the scale by modulation name: MatMul(weight) -> Add(bias) -> Reshape -> Multiply(scale); `up` has none."""
    readers: dict[str, list[str]] = {}
    for key, node in nodes.items():
        for source in node.reads:
            readers.setdefault(source, []).append(key)
    scales = {}
    for key, node in nodes.items():
        if node.kind != "Const" or not node.name.endswith("modulation.bias"):
            continue
        add = readers[key][0]
        reshape = next(k for k in readers[add] if nodes[k].kind == "Reshape")
        product = next(k for k in readers[reshape] if nodes[k].kind == "Multiply")
        factor = next((nodes[k].value for k in nodes[product].reads if nodes[k].kind == "Const"), None)
        scales[node.name.removesuffix(".bias")] = 1.0 if factor is None else float(factor.reshape(-1)[0])
    return scales


def _modulation(
    named: dict[str, NDArray[np.generic]], scales: dict[str, float], source: str, target: str
) -> dict[str, Tensor]:
    scale = scales[source]
    return {
        f"{target}.weight": _tensor(named[f"{source}.weight"]) * scale,  # [C, 512]
        f"{target}.bias": _tensor(named[f"{source}.bias"]).reshape(-1) * scale,
    }


def _average_latent(state: dict[str, Tensor], samples: int = 100_000) -> Tensor:
    """Estimate the mean of w over `samples` seeded z; the IR does not contain it."""
    z = torch.randn(samples, 512, generator=torch.Generator().manual_seed(0))
    parts = [_map(state, part).sum(0, dtype=torch.float64) for part in torch.chunk(z, 10)]
    return (torch.stack(parts).sum(0) / samples).float()


def _map(state: dict[str, Tensor], z: Tensor) -> Tensor:
    x = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
    for index in range(MAPPING_SIZE):
        x = torch.nn.functional.linear(x, state[f"mapping.{index}.weight"], state[f"mapping.{index}.bias"])
        x = torch.nn.functional.leaky_relu(x, 0.2) * 2**0.5
    return x


def _tensor(value: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(value, np.float32).copy())
