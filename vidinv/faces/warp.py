"""Warp between frame and aligned crop with antialiasing: cv2 on the CPU, kornia on a device."""

from __future__ import annotations

import math

import cv2
import kornia
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vidinv.faces import similarity
from vidinv.frames import Array, Rect


def _finer(affine: Array, factor: int) -> Array:
    """Return the same map from a grid that is `factor` times finer."""
    grid = np.array([[1 / factor, 0, (1 / factor - 1) / 2], [0, 1 / factor, (1 / factor - 1) / 2]])
    return similarity.compose(affine, grid)


def _resample(image: Array, affine: Array, width: int, height: int, border: int) -> Array:
    """Sample the image at affine(x, y) for every output pixel; average over each output pixel when shrinking."""
    widest = float(np.hypot(*affine[:, :2]).max())  # the larger scale of the two axes, which differ in a stretched crop
    factor = max(1, math.ceil(widest - 0.05))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (width * factor, height * factor)
    out = cv2.warpAffine(image, _finer(affine, factor), size, flags=flags, borderMode=border)
    if factor > 1:
        out = cv2.resize(out, (width, height), interpolation=cv2.INTER_AREA)
    return out[..., None] if out.ndim < image.ndim else out


def warp_cpu(image: Array, to_frame: Array, size: int) -> Array:
    """Crop [size,size,C] float32 from an image [h,w,C] float32; the border is repeated beyond the frame."""
    if image.ndim != 3 or image.dtype != np.float32:
        raise ValueError(f"warp_cpu takes float32 [h,w,C] images, got {image.dtype} {image.shape}")
    affine = np.asarray(to_frame, np.float64)
    # Only the part of the frame under the crop is passed on, because cv2 keeps coordinates in 16 bits.
    corners = similarity.apply(affine, np.array([(-0.5, -0.5), (-0.5, size), (size, -0.5), (size, size)]))
    low = np.clip(np.floor(corners.min(0)).astype(int) - 2, 0, [image.shape[1] - 1, image.shape[0] - 1])
    high = np.clip(np.ceil(corners.max(0)).astype(int) + 3, low + 1, [image.shape[1], image.shape[0]])
    shifted = affine - np.array([[0, 0, low[0]], [0, 0, low[1]]])
    part = np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]])
    return _resample(part, shifted, size, size, cv2.BORDER_REPLICATE)


def warp_device(image: Tensor, to_frame: Tensor, size: int) -> Tensor:
    """Crop [N,C,size,size] like `warp_cpu` from images [N,C,h,w] by to_frame [N,2,3] (or [2,3]) on any device.

    Differentiable in the image. The supersampling factor of the largest face applies to the whole batch.
    """
    if image.ndim != 4:
        raise ValueError(f"warp_device takes [N,C,h,w], got {tuple(image.shape)}")
    affine = to_frame.to(image.device, torch.float64).expand(image.shape[0], 2, 3)
    factor = max(1, math.ceil(float(affine[:, :, 0].norm(dim=1).max()) - 0.05))
    fine = affine[:, :, :2] / factor
    shift = affine[:, :, 2:] + affine[:, :, :2].sum(2, keepdim=True) * (1 / factor - 1) / 2
    inverse = torch.linalg.inv(fine)
    to_crop = torch.cat([inverse, -inverse @ shift], dim=2)  # kornia, like cv2, takes source -> destination
    # The matrix is inverted and normalised inside; float64 would double the sampling cost for nothing.
    out = kornia.geometry.transform.warp_affine(
        image, to_crop.to(image.dtype), (size * factor,) * 2, padding_mode="border", align_corners=True
    )
    return F.avg_pool2d(out, factor) if factor > 1 else out


def paste(crop: Array, to_frame: Array, rect: Rect, *, zero_outside: bool = True) -> Array:
    """Warp a crop-space image or mask [S,S,C] float32 to the frame region [y1-y0, x1-x0, C] of `rect`.

    `rect` is (x0, y0, x1, y1). Outside the crop the result is 0 (`zero_outside`) or the crop's repeated border.
    """
    if crop.ndim != 3 or crop.dtype != np.float32:
        raise ValueError(f"paste takes float32 [S,S,C] crops, got {crop.dtype} {crop.shape}")
    x0, y0, x1, y1 = rect
    to_crop = similarity.compose(similarity.invert(to_frame), np.array([[1.0, 0, x0], [0, 1.0, y0]]))
    border = cv2.BORDER_CONSTANT if zero_outside else cv2.BORDER_REPLICATE
    return _resample(crop, to_crop, x1 - x0, y1 - y0, border)
