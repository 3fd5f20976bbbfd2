"""Transfer: copy pictures and codes to a GPU and back without blocking the host; on other devices, copy plainly.

A copy between pageable memory and a GPU blocks the host until it is done. A copy from or to pinned memory, which the
GPU accesses directly, is queued on the current stream like any kernel, and the host continues.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: str) -> Tensor:
    """`tensor` on `device`; the tensor itself where it is there already.

    A copy from the CPU to a GPU does not block. Later operations on the same stream run after the copy, and torch keeps
    the pinned memory until then. A `tensor` that is itself pinned must not be written before the copy is done.
    """
    if torch.device(device).type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def to_host(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors on the CPU; those that are there already are returned themselves.

    The copies of all GPU tensors are queued before the function waits; all are complete when it returns.
    """
    home = [_sent(tensor) if tensor.device.type == "cuda" else tensor.cpu() for tensor in tensors]
    for device in {tensor.device for tensor in tensors if tensor.device.type == "cuda"}:
        torch.cuda.current_stream(device).synchronize()
    return home


def _sent(tensor: Tensor) -> Tensor:
    """Queue a copy of a GPU tensor into pinned memory; the result must not be read before the stream is synchronized.

    Both tensors are contiguous, so the copy does not pass through memory that is not pinned.
    """
    home = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    with torch.cuda.device(tensor.device):
        return home.copy_(tensor.contiguous(), non_blocking=True)
