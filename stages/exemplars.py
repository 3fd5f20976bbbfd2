"""The codes of example pictures, from which a direction is made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from stages.parts import Backend, Models
from vidinv.config import RunConfig
from vidinv.errors import InputUnreadable, NoFaceFound
from vidinv.faces import alignment, pictures

CROP = 256  # pixels


def files(paths: Sequence[Path]) -> list[Path]:
    """The pictures among the paths and in their folders; InputUnreadable where there are none."""
    found = [path for path in pictures.files(list(paths)) if not pictures.is_clip(path)]
    if not found:
        raise InputUnreadable(
            f"no picture in {', '.join(map(str, paths))}", remedy="give pictures, or a folder of them"
        )
    return found


def codes(paths: Sequence[Path], backend: Backend, models: Models) -> Tensor:
    """w+ [N,L,D] of the largest face of every picture, by the encoder alone.

    Raises InputUnreadable for what is no picture, NoFaceFound for one without a face.
    """
    locate = backend.locator(RunConfig.landmarks)
    found = []
    for path in paths:
        rgb = pictures.read(path)
        faces = locate(rgb, 0, None)
        if not len(faces.scores):
            raise NoFaceFound(f"no face in {path}", remedy="take it out, or give a clearer picture")
        sides = faces.boxes[:, 2:] - faces.boxes[:, :2]
        points = faces.landmarks[int((sides[:, 0] * sides[:, 1]).argmax())]
        crop = alignment.warp_cpu(rgb.astype("float32") / 255, alignment.to_frame(points, CROP), CROP)
        image = torch.from_numpy(crop).permute(2, 0, 1)[None] * 2 - 1  # HWC -> 1CHW
        with torch.no_grad():
            found.append(models.encoder(image.to(models.device)).ws.cpu())
    return torch.cat(found)
