"""Image operations that networks share."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def resize(image: Tensor, size: int) -> Tensor:
    """[N,C,S,S] -> [N,C,size,size]: area average down by whole factors, else bilinear, antialiased when it shrinks."""
    side = image.shape[-1]
    if side == size:
        return image
    if side % size == 0:
        return functional.avg_pool2d(image, side // size)
    return functional.interpolate(image, (size, size), mode="bilinear", antialias=side > size, align_corners=False)
