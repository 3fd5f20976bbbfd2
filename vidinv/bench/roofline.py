"""Roofline: measure the machine's peak rates of convolution arithmetic and of memory copies."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

REPEATS = 7
CHANNELS, SIDE, BATCH = 256, 64, 4  # a convolution that is limited by arithmetic
COPIED = 256 << 20  # bytes that are copied, more than any cache holds


def conv_rate(dtype: torch.dtype, device: str = "cpu") -> float:
    """Operations per second of a 3x3 convolution, the best of REPEATS, with torch's threads."""
    x = torch.randn(BATCH, CHANNELS, SIDE, SIDE, device=device).to(dtype, memory_format=torch.channels_last)
    weight = torch.randn(CHANNELS, CHANNELS, 3, 3, device=device).to(dtype, memory_format=torch.channels_last)
    with torch.no_grad():
        took = shortest_seconds(lambda: functional.conv2d(x, weight, padding=1), device)
    return 2 * BATCH * SIDE**2 * 9 * CHANNELS**2 / took


def memory_rate(device: str = "cpu") -> float:
    """Bytes per second, read and written, of a copy within the device's memory."""
    source = torch.ones(COPIED // 4, device=device)
    target = torch.empty_like(source)
    return 2 * COPIED / shortest_seconds(lambda: target.copy_(source), device)


def measure(device: str = "cpu") -> dict[str, Any]:
    """The rates of a device: giga-operations per second in both precisions, and gigabytes per second of memory."""
    return {
        "conv_gflops_float32": round(conv_rate(torch.float32, device) / 1e9, 1),
        "conv_gflops_bfloat16": round(conv_rate(torch.bfloat16, device) / 1e9, 1),
        "memory_gb_per_s": round(memory_rate(device) / 1e9, 2),
    }


def name_of(device: str) -> dict[str, str]:
    """The measured device, and the GPU's name if it is one."""
    return {"device": device} | ({"gpu": torch.cuda.get_device_name()} if device == "cuda" else {})


def reached(rates: dict[str, Any], precision: str, flops_per_frame: float, seconds_per_frame: float) -> dict[str, Any]:
    """The fraction of the peak that a run reached: its operations at the measured rate, divided by its time."""
    floor = flops_per_frame / (rates[f"conv_gflops_{precision}"] * 1e9)
    return rates | {
        "gflop_per_frame": round(flops_per_frame / 1e9, 2),
        "floor_ms_per_frame": round(1e3 * floor, 2),
        "fraction_reached": round(floor / seconds_per_frame, 3),
    }


def shortest_seconds(call: Callable[[], object], device: str) -> float:
    """The least seconds of REPEATS calls, each including the wait for the GPU's queued operations."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    call()
    took = []
    for _ in range(REPEATS):
        wait()
        start = time.perf_counter()
        call()
        wait()
        took.append(time.perf_counter() - start)
    return min(took)
