"""Exported: convert modules to OpenVINO and ONNX Runtime in memory. Only these functions import the two packages."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Run = Callable[..., tuple[Tensor, ...]]


def openvino(graph: nn.Module, inputs: tuple[Tensor, ...], precision: str, threads: int) -> Run:
    """Compile `graph` with OpenVINO for inputs of these shapes, on the CPU; `precision` is float32 or bfloat16."""
    import openvino as vino

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = vino.convert_model(graph, example_input=inputs, input=[list(each.shape) for each in inputs])
    hints = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32"}
    compiled = vino.Core().compile_model(model, "CPU", hints | {"INFERENCE_NUM_THREADS": str(threads)})
    ports = list(compiled.outputs)

    def run(*given: Tensor) -> tuple[Tensor, ...]:
        found = compiled([each.contiguous().numpy() for each in given])
        return tuple(torch.from_numpy(np.array(found[port])) for port in ports)

    return run


def onnx(graph: nn.Module, inputs: tuple[Tensor, ...], threads: int) -> Run:
    """Export `graph` to ONNX Runtime for inputs of these shapes, on the CPU, in float32."""
    import onnxruntime

    file: Any = io.BytesIO()
    names = [f"input{n}" for n in range(len(inputs))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(graph, inputs, file, input_names=names, dynamo=False, opset_version=18)
    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])

    def run(*given: Tensor) -> tuple[Tensor, ...]:
        found = session.run(None, {name: each.numpy() for name, each in zip(names, given, strict=True)})
        return tuple(torch.from_numpy(np.asarray(each)) for each in found)

    return run
