"""What a quick painter gets wrong on the pictures at hand, measured with the generator itself and kept in a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from vidinv import fileio
from vidinv.encoders.base import Encoder
from vidinv.trainers.data.face_batches import Painter

AT_ONCE = 2  # the whole generator's layers at 512 pixels take half a gigabyte a picture


@torch.no_grad()
def measured(quick: Painter, whole: Painter, encoder: Encoder, faces: Tensor) -> Tensor:
    """What the `quick` picture [N,3,S,S] of every face lacks of the `whole` one, by the encoder's codes; in float16."""
    found = []
    for part in faces.split(AT_ONCE):
        code = encoder(part)
        with torch.autocast(part.device.type, torch.bfloat16):
            drawn = quick(code.ws, code.feature, code.at)
        found.append((whole(code.ws, code.feature, code.at) - drawn.float()).half())
    return torch.cat(found)


def kept(path: Path, step: int, measure: Callable[[], Tensor]) -> Tensor:
    """The gap [N,3,S,S] after `step`: from the file, or measured and written to it, in the place of an earlier one."""
    if path.exists():
        with safe_open(str(path), framework="pt") as file:
            if (file.metadata() or {}).get("step") == str(step):
                return file.get_tensor("gap")
    gap = measure()
    fileio.remove_drafts(path)  # a killed training's: the file is large
    fileio.write_tensors(path, {"gap": gap}, {"step": str(step)}, parents=True)
    return gap
