"""The codes of example pictures, from which a direction is made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from vidinv.backends.interface import Backend, Locate, Models
from vidinv.config import RunConfig
from vidinv.errors import InputUnreadable, NoFaceFound
from vidinv.faces import alignment, pictures
from vidinv.faces.framing import Framing

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
    locate = locator(backend)
    return torch.cat([encoded(aligned(path, locate, backend.framing), models) for path in paths])


def locator(backend: Backend) -> Locate:
    """What finds the faces of pictures."""
    return backend.locator(RunConfig.landmarks)


def aligned(path: Path, locate: Locate, framing: Framing) -> Tensor:
    """The largest face of a picture, [1,3,CROP,CROP] in [-1,1]. Raises InputUnreadable, NoFaceFound."""
    rgb = pictures.read_rgb(path)
    faces = locate(rgb, 0, None)
    if not len(faces.scores):
        raise NoFaceFound(f"no face in {path}", remedy="take it out, or give a clearer picture")
    sides = faces.boxes[:, 2:] - faces.boxes[:, :2]
    points = faces.landmarks[int((sides[:, 0] * sides[:, 1]).argmax())]
    crop = alignment.warp_cpu(rgb.astype("float32") / 255, framing(points, CROP), CROP)
    return (torch.from_numpy(crop).permute(2, 0, 1)[None] * 2 - 1).clamp(-1, 1)  # HWC -> 1CHW


@torch.no_grad()
def encoded(image: Tensor, models: Models) -> Tensor:
    """w+ [1,L,D] of an aligned face, on the CPU."""
    return models.encoder(image.to(models.device)).ws.cpu()
