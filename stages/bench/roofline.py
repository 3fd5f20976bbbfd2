"""What this machine can do at most, measured: multiplications in convolutions, and bytes moved."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

REPEATS = 7
CHANNELS, SIDE, BATCH = 256, 64, 4  # of a convolution that is bound by arithmetic
COPIED = 256 << 20  # bytes, beyond every cache


def conv_rate(dtype: torch.dtype) -> float:
    """Operations a second of a 3x3 convolution, the best of some repeats, with torch's threads."""
    x = torch.randn(BATCH, CHANNELS, SIDE, SIDE).to(dtype, memory_format=torch.channels_last)
    weight = torch.randn(CHANNELS, CHANNELS, 3, 3).to(dtype, memory_format=torch.channels_last)
    with torch.no_grad():
        took = _shortest(lambda: functional.conv2d(x, weight, padding=1))
    return 2 * BATCH * SIDE**2 * 9 * CHANNELS**2 / took


def memory_rate() -> float:
    """Bytes a second, read and written, of a copy."""
    source = torch.ones(COPIED // 4)
    target = torch.empty_like(source)
    return 2 * COPIED / _shortest(lambda: target.copy_(source))


def measure() -> dict[str, Any]:
    """Giga-operations a second in both precisions, and giga-bytes."""
    return {
        "conv_gflops_float32": round(conv_rate(torch.float32) / 1e9, 1),
        "conv_gflops_bfloat16": round(conv_rate(torch.bfloat16) / 1e9, 1),
        "memory_gb_per_s": round(memory_rate() / 1e9, 2),
    }


def reached(rates: dict[str, Any], precision: str, flops_per_frame: float, seconds_per_frame: float) -> dict[str, Any]:
    """How near a run came: its operations at the measured rate of its precision, over what it took."""
    floor = flops_per_frame / (rates[f"conv_gflops_{precision}"] * 1e9)
    return rates | {
        "gflop_per_frame": round(flops_per_frame / 1e9, 2),
        "floor_ms_per_frame": round(1e3 * floor, 2),
        "fraction_reached": round(floor / seconds_per_frame, 3),
    }


def _shortest(call: Callable[[], object]) -> float:
    call()
    took = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        took.append(time.perf_counter() - start)
    return min(took)
