"""Process large features on a CPU in one pass over memory, where torch takes three to six.

Memory bandwidth limits these layers. The kernels are compiled by numba for float32 and for bfloat16, which numba lacks:
its 16 bits are the upper half of a float32. Sums use float32 and are rounded once. `frozen.py` adds the gradients.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload
from torch import Tensor

from vidinv.compiled import compiled
from vidinv.frames import Array
from vidinv.generators.ops import is_exported

KINDS = (torch.float32, torch.bfloat16)
SLOPE = np.float32(0.2)  # of the leaky ReLU


def takes(x: Tensor) -> bool:
    """Return whether these kernels support a feature: on the CPU, of a compiled type, and not in an exported graph."""
    is_plain = not (is_exported() or torch.compiler.is_compiling())
    return is_plain and x.device.type == "cpu" and x.dtype in KINDS


def activate(y: Tensor, noise: Tensor, bias: Tensor) -> Tensor:
    """Compute y [N,P,D] = leaky ReLU of y + noise + bias, in place; noise has P values, bias D. y is contiguous."""
    _, pixels, channels = y.shape
    if noise.numel() != pixels or bias.numel() != channels:
        given = f"{noise.numel()} and {bias.numel()}"
        raise ValueError(f"{tuple(y.shape)} takes noise of {pixels} and bias of {channels} values, got {given}")
    values = _floats(noise), _floats(bias)
    for each in _memory(y):
        _in_parts(_activate, pixels, each, *values)
    return y


def activation_gradient(gradient: Tensor, out: Tensor, slope: Tensor | None = None) -> Tensor:
    """Return the input gradient [N,P,D] of `activate` from its `out` [N,P,D] and a gradient; both are contiguous.

    With a `slope` [D] it is the gradient of a PReLU, where `out` has the sign of the input.
    """
    found, slopes = torch.empty_like(out), torch.full(out.shape[2:], float(SLOPE)) if slope is None else slope
    if slopes.shape != out.shape[2:]:
        raise ValueError(f"{tuple(out.shape)} takes a slope of {out.shape[2]} values, got {tuple(slopes.shape)}")
    for each, values, result in zip(*map(_memory, (gradient, out, found)), strict=True):
        _in_parts(_activate_back, len(values), each, values, _floats(slopes), result)
    return found


def modulated_inverse_haar(bands: Tensor, scale: Tensor) -> Tensor:
    """Apply `haar.inverse_haar` to bands [N,4C,h,w] times scale [N,4C] -> [N,C,2h,2w]; both are channels last."""
    count, channels, height, width = bands.shape
    if scale.shape != (count, channels):
        raise ValueError(f"bands {tuple(bands.shape)} take scales {(count, channels)}, got {tuple(scale.shape)}")
    image = bands.new_empty(count, 2 * height, 2 * width, channels // 4)
    given = _memory(bands.permute(0, 2, 3, 1))  # NHWC
    for each, factors, out in zip(given, scale, _memory(image), strict=True):
        _in_parts(_haar, height, each, _floats(factors), out)
    return image.permute(0, 3, 1, 2)


def haar_gradients(gradient: Tensor, bands: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of `modulated_inverse_haar`: of bands [N,4C,h,w] and of scale [N,4C].

    `gradient` [N,C,2h,2w] is the image's; all are channels last.
    """
    count, _, height, width = bands.shape
    found = bands.new_empty(count, height, width, bands.shape[1])
    sums = torch.empty(count, height, bands.shape[1])  # each row's share of the scale's gradient
    memory = (_memory(each.permute(0, 2, 3, 1)) for each in (gradient, bands))  # NHWC
    for image, each, factors, out, rows in zip(*memory, scale, _memory(found), _memory(sums), strict=True):
        _in_parts(_haar_back, height, image, each, _floats(factors), out, rows)
    return found.permute(0, 3, 1, 2), sums.sum(1)


def _floats(x: Tensor) -> Array:
    return x.detach().float().flatten().numpy()


def _memory(x: Tensor) -> Array:
    """Return the same memory as an array; bfloat16 as its bits."""
    x = x.detach()
    return x.view(torch.uint16).numpy() if x.dtype == torch.bfloat16 else x.numpy()


def _in_parts(kernel: Callable[..., None], count: int, *arrays: Array) -> None:
    """Run kernel(start, stop, *arrays) over range(count) with as many threads as torch uses."""
    threads = min(torch.get_num_threads(), count)
    if threads == 1:
        kernel(0, count, *arrays)
        return
    edges = [count * k // threads for k in range(threads + 1)]
    others = [_pool().submit(kernel, edges[k], edges[k + 1], *arrays) for k in range(1, threads)]
    kernel(edges[0], edges[1], *arrays)
    for other in others:
        other.result()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="fused")


def _bits_to_float(_context: Any, bits: Any) -> Any:
    return types.float32(types.uint32), lambda _, builder, __, given: builder.bitcast(given[0], ir.FloatType())


def _float_to_bits(_context: Any, value: Any) -> Any:
    return types.uint32(types.float32), lambda _, builder, __, given: builder.bitcast(given[0], ir.IntType(32))


_as_float: Any = intrinsic(_bits_to_float)
_as_bits: Any = intrinsic(_float_to_bits)


def _read(value: Any) -> Any:
    """Convert a value in memory to float32."""
    return np.uint32(int(value) << 16).view(np.float32) if isinstance(value, np.uint16) else value


def _write(out: Any, value: Any) -> Any:
    """Convert a float32 to the memory type of `out`, to nearest, ties to even."""
    if not isinstance(out, np.uint16):
        return value
    bits = int(np.float32(value).view(np.uint32))
    return np.uint16((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)


@overload(_read, inline="always")
def _reading(value: Any) -> Any:
    def widened(value: Any) -> Any:  # pragma: no cover - compiled
        return _as_float(np.uint32(value) << np.uint32(16))

    def as_it_is(value: Any) -> Any:  # pragma: no cover - compiled
        return value

    return widened if isinstance(value, types.Integer) else as_it_is


@overload(_write, inline="always")
def _writing(out: Any, value: Any) -> Any:
    def rounded(out: Any, value: Any) -> Any:  # pragma: no cover - compiled
        bits = _as_bits(np.float32(value))
        return np.uint16((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))

    def as_it_is(out: Any, value: Any) -> Any:  # pragma: no cover - compiled
        return value

    return rounded if isinstance(out, types.Integer) else as_it_is


@compiled
def _activate(start: int, stop: int, y: Array, noise: Array, bias: Array) -> None:  # pragma: no cover - compiled
    for p in range(start, stop):
        for c in range(y.shape[1]):
            value = _read(y[p, c]) + noise[p] + bias[c]
            y[p, c] = _write(y[p, c], max(value, SLOPE * value))


@compiled
def _activate_back(
    start: int, stop: int, gradient: Array, out: Array, slope: Array, found: Array
) -> None:  # pragma: no cover - compiled
    for p in range(start, stop):
        for c in range(out.shape[1]):
            value = _read(gradient[p, c])
            found[p, c] = _write(out[p, c], value if _read(out[p, c]) > 0 else slope[c] * value)


@compiled
def _haar(start: int, stop: int, bands: Array, scale: Array, image: Array) -> None:  # pragma: no cover - compiled
    """Rows `start` to `stop` of bands [h,w,4C] -> image [2h,2w,C].

    Each line read or written has its own loop, so that the loops are vectorised; a single loop takes three times as
    long.
    """
    half = np.float32(0.5)
    channels = image.shape[2]
    low, detail = np.empty(channels, np.float32), np.empty(3 * channels, np.float32)
    total, differ, across, turned = [np.empty(channels, np.float32) for _ in range(4)]
    for i in range(start, stop):
        for j in range(bands.shape[1]):
            for c in range(channels):
                low[c] = _read(bands[i, j, c]) * scale[c]
            for c in range(3 * channels):
                detail[c] = _read(bands[i, j, channels + c]) * scale[channels + c]
            for c in range(channels):
                vertical, horizontal, diagonal = detail[3 * c], detail[3 * c + 1], detail[3 * c + 2]
                total[c], differ[c] = (low[c] + vertical) * half, (low[c] - vertical) * half
                across[c], turned[c] = (horizontal + diagonal) * half, (horizontal - diagonal) * half
            for c in range(channels):
                image[2 * i, 2 * j, c] = _write(image[0, 0, 0], total[c] + across[c])
            for c in range(channels):
                image[2 * i + 1, 2 * j, c] = _write(image[0, 0, 0], differ[c] + turned[c])
            for c in range(channels):
                image[2 * i, 2 * j + 1, c] = _write(image[0, 0, 0], total[c] - across[c])
            for c in range(channels):
                image[2 * i + 1, 2 * j + 1, c] = _write(image[0, 0, 0], differ[c] - turned[c])


@compiled
def _haar_back(
    start: int, stop: int, image: Array, bands: Array, scale: Array, out: Array, sums: Array
) -> None:  # pragma: no cover - compiled
    """Rows `start` to `stop`: out [h,w,4C] of the image's gradient [2h,2w,C], and sums [h,4C] of it times bands."""
    half = np.float32(0.5)
    channels = image.shape[2]
    upper, lower, above, below = [np.empty(channels, np.float32) for _ in range(4)]
    given = np.empty(4 * channels, np.float32)  # the gradient of the scaled bands of one pixel
    for i in range(start, stop):
        sums[i, :] = np.float32(0)
        for j in range(bands.shape[1]):
            for c in range(channels):
                left, right = _read(image[2 * i, 2 * j, c]), _read(image[2 * i, 2 * j + 1, c])
                upper[c], above[c] = (left + right) * half, (left - right) * half
            for c in range(channels):
                left, right = _read(image[2 * i + 1, 2 * j, c]), _read(image[2 * i + 1, 2 * j + 1, c])
                lower[c], below[c] = (left + right) * half, (left - right) * half
            for c in range(channels):
                given[c] = upper[c] + lower[c]
                given[channels + 3 * c] = upper[c] - lower[c]
                given[channels + 3 * c + 1] = above[c] + below[c]
                given[channels + 3 * c + 2] = above[c] - below[c]
            for c in range(4 * channels):
                out[i, j, c] = _write(out[0, 0, 0], given[c] * scale[c])
            for c in range(4 * channels):
                sums[i, c] += given[c] * _read(bands[i, j, c])
