"""Writing a picture."""

from __future__ import annotations

from pathlib import Path

import cv2
from torch import Tensor

from vidinv.errors import OutputUnwritable


def write(path: Path, image: Tensor) -> None:
    """Write [3,H,W] in [-1,1] as the kind of file that the name says. Raises OutputUnwritable."""
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"a picture is [3,H,W], got {tuple(image.shape)}")
    pixels = ((image.detach().clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()  # HWC
    try:
        done = cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    except cv2.error:  # a name that says no kind of picture
        done = False
    if not done:
        raise OutputUnwritable(f"cannot write the picture {path}", remedy="give a .png in a folder that is there")
