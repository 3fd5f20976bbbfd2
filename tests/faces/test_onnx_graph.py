"""Converted graphs run in torch as they run in onnxruntime."""

import json

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

from vidinv.errors import WeightsUnavailable
from vidinv.faces.onnx_graph.network import GraphNetwork
from vidinv.weights.importers import onnx_graph


def small_graph() -> bytes:
    """Conv + BN + PRelu, uneven padding, pooling, a reshape that bakes batch 1 in, Gemm."""
    random = np.random.default_rng(0)

    def constant(name, *shape):
        return numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)

    variance = numpy_helper.from_array(random.uniform(0.5, 2, 4).astype(np.float32), "var")
    nodes = [
        helper.make_node("Conv", ["x", "w.0"], ["a"], pads=[0, 1, 1, 1], strides=[2, 2], kernel_shape=[3, 3]),
        helper.make_node("BatchNormalization", ["a", "gamma", "beta", "mean", "var"], ["b"], epsilon=1e-3),
        helper.make_node("PRelu", ["b", "slope"], ["c"]),
        helper.make_node("MaxPool", ["c"], ["d"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Reshape", ["d", "shape"], ["e"]),
        helper.make_node("Gemm", ["e", "fc", "fc_bias"], ["y"], transB=1),
    ]
    initial = [constant("w.0", 4, 3, 3, 3), *(constant(name, 4) for name in ("gamma", "beta", "mean")), variance]
    initial += [constant("slope", 4, 1, 1), constant("fc", 5, 64), constant("fc_bias", 5)]
    initial.append(numpy_helper.from_array(np.array([1, -1]), "shape"))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 17, 16])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])]
    graph = helper.make_graph(nodes, "small", inputs, outputs, initial)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8).SerializeToString()


@pytest.fixture
def network(tmp_path):
    state, metadata = onnx_graph.convert({"small.onnx": small_graph()})
    save_file(state, tmp_path / "small.safetensors", metadata)
    return GraphNetwork.load(tmp_path / "small.safetensors")


def test_outputs_equal_onnxruntime_at_any_batch(network):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(small_graph(), providers=["CPUExecutionProvider"])
    x = torch.randn(3, 3, 17, 16)
    expected = np.concatenate([session.run(None, {"x": one[None].numpy()})[0] for one in x])
    np.testing.assert_allclose(network(x)[0].numpy(), expected, atol=1e-4)


def test_taps_are_the_named_values_and_gradients_reach_the_input(network):
    x = torch.randn(2, 3, 17, 16, requires_grad=True)
    middle, last = network(x, taps=("c", "y"))
    assert middle.shape == (2, 4, 8, 8) and torch.equal(last, network(x)[0])
    middle.sum().backward()
    assert x.grad.abs().sum() > 0 and not any(p.requires_grad for p in network.parameters())


def test_batch_norm_is_folded_away(network):
    assert [node["op"] for node in network.nodes] == ["Conv", "PRelu", "MaxPool", "Reshape", "Gemm"]


def test_an_unknown_operator_is_named():
    with pytest.raises(WeightsUnavailable, match="Einsum"):
        GraphNetwork({"inputs": [], "outputs": [], "nodes": [{"op": "Einsum"}]}, {})


def test_the_graph_travels_as_json():
    _, metadata = onnx_graph.convert({"small.onnx": small_graph()})
    assert json.loads(metadata["graph"])["inputs"] == ["x"]
