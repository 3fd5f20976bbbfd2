"""What stands for detector and parser where the subject is no face: given boxes, the whole frame, a soft shape."""

from __future__ import annotations

import numpy as np
import torch

from vidinv.backends.interface import Locate, LocatedFaces, Parse
from vidinv.faces import framing
from vidinv.faces.parser import SKIN
from vidinv.frames import Array


def located(boxes: Array, rotation: int) -> LocatedFaces:
    """Boxes [N,4] as what was found: corners stand for landmarks, and all look alike."""
    count = len(boxes)
    corners = framing.corners(boxes, rotation)
    return LocatedFaces(
        np.asarray(boxes, np.float32), np.ones(count, np.float32), corners, np.ones((count, 1), np.float32)
    )


def given(source: str, *, is_square: bool) -> Locate:
    """The boxes that are known; where none are, the whole frame, or its largest centred square."""

    def locate(rgb: Array, rotation: int, boxes: Array | None) -> LocatedFaces:
        height, width = rgb.shape[:2]
        if boxes is None:
            middle = np.array([width, height]) / 2
            half = np.full(2, min(width, height) / 2) if is_square else middle
            boxes = np.array([[*(middle - half), *(middle + half)]])
        return located(boxes, rotation)

    return locate


def faces(source: str) -> Locate:
    """The boxes of SCRFD's faces."""
    from vidinv.faces import detector

    detect = detector.load_detector()

    def locate(rgb: Array, rotation: int, boxes: Array | None) -> LocatedFaces:
        return located(detect.detect(rgb, rotation=-rotation).boxes if boxes is None else boxes, rotation)

    return locate


def nothing_before(images: torch.Tensor) -> Array:
    """Alpha [N,s,s] of what lies before [N,3,s,s]: nothing is looked for."""
    return np.zeros((len(images), *images.shape[2:]), np.float32)


def shape(name: str) -> Parse:
    """Labels that call the whole crop, or the ellipse in it, the subject: the mask's soft edge is then the crop's."""

    def parse(images: torch.Tensor, size: int) -> Array:
        y, x = np.mgrid[:size, :size] / (size - 1) * 2 - 1
        inside = x**2 + y**2 <= 1 if name == "ellipse" else np.ones((size, size), bool)
        return np.repeat(np.where(inside, SKIN, 0).astype(np.uint8)[None], len(images), 0)

    return parse
