"""Convert an image tensor to 8-bit pixels and write it as a picture file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from vidinv import fileio
from vidinv.errors import OutputUnwritable
from vidinv.frames import Array


def pixels(image: Tensor) -> Array:
    """Convert an image [3,H,W] in [-1,1] to RGB uint8 [H,W,3]."""
    rounded = ((image.detach().clamp(-1, 1) + 1) * 127.5).round().byte()
    return np.ascontiguousarray(rounded.permute(1, 2, 0).cpu().numpy())  # CHW -> HWC


def from_pixels(rgb: Array) -> Tensor:
    """RGB uint8 [...,H,W,3] -> [...,3,H,W] float32 in [-1,1]; `pixels` gives the same samples back."""
    return torch.from_numpy(rgb).movedim(-1, -3).float().div(127.5).sub(1)


def write_picture(path: Path, image: Tensor, *, overwrite: bool = True) -> None:
    """Write an image [3,H,W] in [-1,1] in the format of the file name's suffix; errors as `fileio.replacing`."""
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"a picture is [3,H,W], got {tuple(image.shape)}")
    try:
        _, data = cv2.imencode(path.suffix, cv2.cvtColor(pixels(image), cv2.COLOR_RGB2BGR))
    except cv2.error as error:
        reason = f"{path} cannot be written ({path.suffix or 'no suffix'} is not a kind of picture)"
        raise OutputUnwritable(reason, remedy="give a name that ends in .png") from error
    fileio.write_atomically(path, data.tobytes(), overwrite=overwrite)
