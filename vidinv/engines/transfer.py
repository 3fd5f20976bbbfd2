"""Pictures and codes on their way to a GPU and back; on the CPU, and on any other device, plain copies as ever.

A copy between pageable memory and a GPU holds the host up until it is done. Out of pinned memory, which the GPU reads
and writes by itself, it is put on the current stream like any kernel, and the host goes on.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: str) -> Tensor:
    """`tensor` on `device`: itself where it lies there already.

    From the CPU to a GPU nothing waits. What is read of it there comes after the copy on the same stream, and torch
    keeps the pinned memory until the copy is done. A tensor that is pinned itself must not be written meanwhile.
    """
    if torch.device(device).type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def to_host(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors on the CPU: themselves where they lie there already.

    Those of a GPU are all put on their way before any is waited for; when this returns every one has arrived.
    """
    home = [_sent(tensor) if tensor.device.type == "cuda" else tensor.cpu() for tensor in tensors]
    for device in {tensor.device for tensor in tensors if tensor.device.type == "cuda"}:
        torch.cuda.current_stream(device).synchronize()
    return home


def _sent(tensor: Tensor) -> Tensor:
    """Pinned memory into which the current stream is going to copy; not to be read before that is waited for.

    Both sides are contiguous, so that it is one plain copy, without a detour over memory that is not pinned.
    """
    home = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    with torch.cuda.device(tensor.device):
        return home.copy_(tensor.contiguous(), non_blocking=True)
