"""Preview: draw what a job does to a face, labelled: the source, the finished frame, and what changed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vidinv.faces import crops, edit_confidence
from vidinv.frames import Array, Planes, Track, Work
from vidinv.media.image_grid import LABEL, image_grid
from vidinv.media.picture import pixels

GAIN = 4  # by which the change is amplified
SMALLEST, LARGEST = 128, 720  # pixels, side of a panel that follows the face's own size
EDITED = ("source", "edited", f"change x{GAIN}")
INVERTED = ("source", "inversion", f"error x{GAIN}")


def panel_side(tracks: Sequence[Track], asked: int) -> int:
    """Return the even side of a panel in pixels: `asked`, or for 0 the median size of the first person's face."""
    if asked or not tracks or not len(tracks[0].frames):
        return max(2, (asked or 2 * SMALLEST) // 2 * 2)
    sides = [edit_confidence.crop_side(tracks[0], k) for k in range(len(tracks[0].frames))]
    return int(np.clip(np.median(sides), SMALLEST, LARGEST)) // 2 * 2


def picture_size(side: int) -> tuple[int, int]:
    """Return the width and height of a preview with panels of `side` pixels."""
    return 3 * side, side + LABEL


def draw_panels(work: Work, position: int, side: int, *, edited: bool) -> Array:
    """Draw the most strongly edited face of a frame as RGB uint8 [side+LABEL, 3*side, 3].

    The second panel is the finished frame, or without an edit the inversion. Of several faces with the same presence
    it is the first; without a face the panels are black.
    """
    faces, row = work.faces, list(torch.full((3, 3, side, side), -1.0))
    if faces is not None:
        here = (faces.frame == position).nonzero().flatten().tolist()
        if here:
            row = face_panels(work, max(here, key=work.presence), side, edited=edited)
    return pixels(image_grid([row], column_labels=EDITED if edited else INVERTED))


def face_panels(work: Work, n: int, side: int, *, edited: bool) -> list[Tensor]:
    """Return the panels [3,side,side] in [-1,1] of the n-th face of a Work, as `draw_panels` shows them."""
    assert work.faces is not None
    position = int(work.faces.frame[n])
    to_frame = crops.rescale(work.faces.to_frame[n].numpy(), work.faces.image.shape[-1], side)
    output = work.output or work.frames.native

    def seen(planes: Planes) -> Tensor:
        return torch.from_numpy(crops.crop(planes, work.frames.colour, to_frame, side)).permute(2, 0, 1) * 2 - 1

    source = seen(work.frames.native[position])
    if edited or work.inversion is None:
        made = seen(output[position])
    else:
        made = torch.nn.functional.interpolate(work.inversion[n : n + 1].float(), size=(side, side), mode="area")[0]
    return [source, made, (GAIN * (made - source).abs() - 1).clamp(-1, 1)]
