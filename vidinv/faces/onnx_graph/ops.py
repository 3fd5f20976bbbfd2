"""Implement the ONNX operators of the shipped graphs as torch functions of (attributes, inputs)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vidinv.generators.kernels import frozen, fused

Attributes = dict[str, Any]
Operator = Callable[..., Tensor]


def _pair_padding(pads: list[int]) -> tuple[int, int] | None:
    """Return (top, left) if opposite sides have equal padding, else None; ONNX order is top, left, bottom, right."""
    top, left, bottom, right = pads
    return (top, left) if (top, left) == (bottom, right) else None


def _padded(x: Tensor, pads: list[int], value: float = 0.0) -> tuple[Tensor, tuple[int, int]]:
    """Return x and the symmetric padding left for the operator; uneven padding is applied here."""
    pair = _pair_padding(pads)
    if pair is not None:
        return x, pair
    top, left, bottom, right = pads
    return F.pad(x, (left, right, top, bottom), value=value), (0, 0)


def conv(a: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    x, padding = _padded(x, a.get("pads", [0, 0, 0, 0]))
    return F.conv2d(x, weight, bias, a.get("strides", 1), padding, a.get("dilations", 1), a.get("group", 1))


def batch_norm(a: Attributes, x: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, var: Tensor) -> Tensor:
    return F.batch_norm(x, mean, var, gamma, beta, False, 0.0, a.get("epsilon", 1e-5))


def prelu(a: Attributes, x: Tensor, slope: Tensor) -> Tensor:
    if x.ndim == 4 and fused.takes(x) and not slope.requires_grad:  # torch would take the slope's gradient too
        return frozen.prelu(x, slope.reshape(-1))
    return F.prelu(x, slope.reshape(-1))


def gemm(a: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    x = x.t() if a.get("transA", 0) else x
    out = x @ (weight.t() if a.get("transB", 0) else weight) * a.get("alpha", 1.0)
    return out if bias is None else out + a.get("beta", 1.0) * bias


def reshape(a: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    """Reshape x; a fixed leading batch size of 1 in the graph is replaced by the real batch size."""
    target = [x.shape[i] if size == 0 else size for i, size in enumerate(shape.tolist())]
    if target and target[0] == 1 and x.shape[0] != 1:
        target[0] = x.shape[0]
    return x.reshape(target)


def max_pool(a: Attributes, x: Tensor) -> Tensor:
    x, padding = _padded(x, a.get("pads", [0, 0, 0, 0]), float("-inf"))
    return F.max_pool2d(x, a["kernel_shape"], a.get("strides", 1), padding, ceil_mode=bool(a.get("ceil_mode", 0)))


def average_pool(a: Attributes, x: Tensor) -> Tensor:
    pair = _pair_padding(a.get("pads", [0, 0, 0, 0]))
    if pair is None:
        raise ValueError(f"average pooling with uneven padding {a['pads']}")
    counted = bool(a.get("count_include_pad", 0))
    return F.avg_pool2d(x, a["kernel_shape"], a.get("strides", 1), pair, bool(a.get("ceil_mode", 0)), counted)


def resize(a: Attributes, x: Tensor, roi: Tensor, scales: Tensor, sizes: Tensor | None = None) -> Tensor:
    """Resize [N,C,H,W] by nearest (asymmetric, floor) or bilinear (half pixel) interpolation."""
    if sizes is None:
        sizes = (torch.tensor(x.shape) * scales).floor().long()
    size = [int(value) for value in sizes[2:].tolist()]
    if a.get("mode", "nearest") == "nearest":
        return F.interpolate(x, size, mode="nearest")
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def pad(a: Attributes, x: Tensor, pads: Tensor, value: Tensor | None = None) -> Tensor:
    ends = pads.tolist()
    n = len(ends) // 2
    order = [end for axis in range(n - 1, -1, -1) for end in (ends[axis], ends[n + axis])]  # torch: last axis first
    return F.pad(x, order, value=0.0 if value is None else float(value))


def slice_(a: Attributes, x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor, steps: Tensor | None = None) -> Tensor:
    cuts = [slice(None)] * x.ndim
    strides = [1] * axes.numel() if steps is None else steps.tolist()
    for axis, start, end, step in zip(axes.tolist(), starts.tolist(), ends.tolist(), strides, strict=True):
        cuts[axis] = slice(start, end, step)
    return x[tuple(cuts)]


def unsqueeze(a: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
    for axis in sorted(a["axes"] if axes is None else axes.tolist()):
        x = x.unsqueeze(axis)
    return x


def gather(a: Attributes, x: Tensor, index: Tensor) -> Tensor:
    taken = x.index_select(a.get("axis", 0), index.reshape(-1))
    return taken.squeeze(a.get("axis", 0)) if index.ndim == 0 else taken


def cast(a: Attributes, x: Tensor) -> Tensor:
    return x.to({1: torch.float32, 6: torch.int32, 7: torch.int64}[a["to"]])


OPERATORS: dict[str, Operator] = {
    "Add": lambda a, x, y: x + y,
    "AveragePool": average_pool,
    "BatchNormalization": batch_norm,
    "Cast": cast,
    "Clip": lambda a, x, low=None, high=None: x.clamp(low, high),
    "Concat": lambda a, *parts: torch.cat(parts, a["axis"]),
    "Conv": conv,
    "Div": lambda a, x, y: x / y,
    "Dropout": lambda a, x, *rest: x,
    "Flatten": lambda a, x: x.flatten(a.get("axis", 1)),
    "Gather": gather,
    "Gemm": gemm,
    "GlobalAveragePool": lambda a, x: x.mean((2, 3), keepdim=True),
    "Identity": lambda a, x: x,
    "MatMul": lambda a, x, y: x @ y,
    "MaxPool": max_pool,
    "Mul": lambda a, x, y: x * y,
    "PRelu": prelu,
    "Pad": pad,
    "Relu": lambda a, x: x.relu(),
    "Reshape": reshape,
    "Resize": resize,
    "Shape": lambda a, x: torch.tensor(x.shape, dtype=torch.int64),
    "Sigmoid": lambda a, x: x.sigmoid(),
    "Slice": slice_,
    "Softmax": lambda a, x: x.softmax(a.get("axis", -1)),
    "Sub": lambda a, x, y: x - y,
    "Transpose": lambda a, x: x.permute(a["perm"]),
    "Unsqueeze": unsqueeze,
}
