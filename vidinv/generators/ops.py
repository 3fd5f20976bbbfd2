"""Provide tensor operations that several networks share: resizing and memory layouts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def is_exported() -> bool:
    """Return whether the call is traced for export to another engine, which needs plain float32 operations."""
    tracing: bool = torch._C._is_tracing()
    return tracing


def resize(image: Tensor, size: int) -> Tensor:
    """Resize [N,C,S,S] to [N,C,size,size]: area average for integer factors, else bilinear with antialiasing."""
    side = image.shape[-1]
    if side == size:
        return image
    if side % size == 0:
        return functional.avg_pool2d(image, side // size)
    return functional.interpolate(image, (size, size), mode="bilinear", antialias=side > size, align_corners=False)


def lies_channels_last(x: Tensor) -> bool:
    """Return whether x [N,C,h,w] is channels last in memory, and not contiguous as [N,C,h,w] too."""
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def by_pixel(x: Tensor) -> Tensor:
    """View x [N,C,h,w] in channels-last memory as [N,h*w,C]."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def by_channel(y: Tensor, height: int, width: int) -> Tensor:
    """View y [N,h*w,C] as [N,C,h,w], channels last."""
    return y.view(y.shape[0], height, width, -1).permute(0, 3, 1, 2)
