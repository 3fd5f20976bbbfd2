"""Image operations that networks share."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def is_exported() -> bool:
    """Whether the call is traced, for an engine other than torch to take over: plain float32 operations are wanted."""
    tracing: bool = torch._C._is_tracing()
    return tracing


def resize(image: Tensor, size: int) -> Tensor:
    """[N,C,S,S] -> [N,C,size,size]: area average down by whole factors, else bilinear, antialiased when it shrinks."""
    side = image.shape[-1]
    if side == size:
        return image
    if side % size == 0:
        return functional.avg_pool2d(image, side // size)
    return functional.interpolate(image, (size, size), mode="bilinear", antialias=side > size, align_corners=False)


def lies_channels_last(x: Tensor) -> bool:
    """Whether x [N,C,h,w] lies in memory as [N,h,w,C], and not as [N,C,h,w] as well."""
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def by_pixel(x: Tensor) -> Tensor:
    """x [N,C,h,w] in channels-last memory -> the same memory as [N,h*w,C]."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def by_channel(y: Tensor, height: int, width: int) -> Tensor:
    """y [N,h*w,C] -> the same memory as [N,C,h,w], channels last."""
    return y.view(y.shape[0], height, width, -1).permute(0, 3, 1, 2)
