"""Encode example pictures, from whose codes a direction is made."""

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
from vidinv.media.picture_file import read_rgb

CROP = 256  # pixels


def find_pictures(paths: Sequence[Path]) -> list[Path]:
    """The picture files among the paths and in their folders. Raises InputUnreadable if there are none."""
    found = [path for path in pictures.files(list(paths)) if not pictures.is_clip(path)]
    if not found:
        raise InputUnreadable(
            f"no picture in {', '.join(map(str, paths))}", remedy="give pictures, or a folder of them"
        )
    return found


def encode_pictures(paths: Sequence[Path], backend: Backend, models: Models) -> Tensor:
    """w+ [N,L,D] of the largest face of every picture, by the encoder without refinement.

    Raises InputUnreadable for a file that is not a picture, NoFaceFound for a picture without a face.
    """
    locate = build_locator(backend)
    return torch.cat([encode_face(align_picture(path, locate, backend.framing), models) for path in paths])


def build_locator(backend: Backend) -> Locate:
    """Load the face locator for pictures."""
    return backend.locator(RunConfig.landmarks)


def align_picture(path: Path, locate: Locate, framing: Framing) -> Tensor:
    """The largest face of a picture, [1,3,CROP,CROP] in [-1,1]. Raises InputUnreadable, NoFaceFound."""
    rgb = read_rgb(path)
    faces = locate(rgb, 0, None)
    if not len(faces.scores):
        raise NoFaceFound(f"no face in {path}", remedy="leave it out, or give a clearer picture")
    sides = faces.boxes[:, 2:] - faces.boxes[:, :2]
    points = faces.landmarks[int((sides[:, 0] * sides[:, 1]).argmax())]
    crop = alignment.warp_cpu(rgb.astype("float32") / 255, framing(points, CROP), CROP)
    return (torch.from_numpy(crop).permute(2, 0, 1)[None] * 2 - 1).clamp(-1, 1)  # HWC -> 1CHW


@torch.no_grad()
def encode_face(image: Tensor, models: Models) -> Tensor:
    """w+ [1,L,D] of an aligned face, on the CPU."""
    return models.encoder(image.to(models.device)).ws.cpu()
