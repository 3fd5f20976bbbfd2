"""Measure the error of a quick render function against the generator, and cache it in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from vidinv import fileio
from vidinv.encoders.base import Encoder
from vidinv.trainers.data.face_batches import RenderFunction

AT_ONCE = 2  # faces per batch: the generator's layers at 512 pixels take half a gigabyte per picture


@torch.no_grad()
def measure_residual(quick: RenderFunction, whole: RenderFunction, encoder: Encoder, faces: Tensor) -> Tensor:
    """Return the difference `whole` - `quick` [N,3,S,S] (float16) of the renderings of every face's encoder codes."""
    found = []
    for part in faces.split(AT_ONCE):
        code = encoder(part)
        with torch.autocast(part.device.type, torch.bfloat16):
            drawn = quick(code.ws, code.feature, code.at)
        found.append((whole(code.ws, code.feature, code.at) - drawn.float()).half())
    return torch.cat(found)


def load_or_measure(path: Path, step: int, measure: Callable[[], Tensor]) -> Tensor:
    """Return the gap [N,3,S,S] after `step`: read from the file, or measured and written to it."""
    if path.exists():
        with safe_open(str(path), framework="pt") as file:
            if (file.metadata() or {}).get("step") == str(step):
                return file.get_tensor("gap")
    gap = measure()
    fileio.remove_drafts(path)  # drafts of a killed training: the file is large
    fileio.write_tensors(path, {"gap": gap}, {"step": str(step)}, parents=True)
    return gap
