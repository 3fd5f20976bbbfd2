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
