"""Replace detector and parser for subjects other than faces: given boxes, the whole frame, a soft shape."""

from __future__ import annotations

import numpy as np
import torch

from vidinv.backends.interface import Locate, LocatedFaces, Parse
from vidinv.faces import framing
from vidinv.faces.parser import SKIN
from vidinv.frames import Array


def boxes_as_faces(boxes: Array, rotation: int) -> LocatedFaces:
    """Boxes [N,4] as located faces: their corners are the landmarks, and all embeddings are equal."""
    count = len(boxes)
    corners = framing.corners(boxes, rotation)
    return LocatedFaces(
        np.asarray(boxes, np.float32), np.ones(count, np.float32), corners, np.ones((count, 1), np.float32)
    )


def build_box_locator(source: str, *, is_square: bool) -> Locate:
    """Locate the known boxes; without any, the whole frame or its largest centred square."""

    def locate(rgb: Array, rotation: int, boxes: Array | None) -> LocatedFaces:
        height, width = rgb.shape[:2]
        if boxes is None:
            middle = np.array([width, height]) / 2
            half = np.full(2, min(width, height) / 2) if is_square else middle
            boxes = np.array([[*(middle - half), *(middle + half)]])
        return boxes_as_faces(boxes, rotation)

    return locate


def build_face_box_locator(source: str) -> Locate:
    """Locate the boxes of SCRFD's faces."""
    from vidinv.faces import detector

    detect = detector.load_detector()

    def locate(rgb: Array, rotation: int, boxes: Array | None) -> LocatedFaces:
        return boxes_as_faces(detect.detect(rgb, rotation=-rotation).boxes if boxes is None else boxes, rotation)

    return locate


def no_occlusion(images: torch.Tensor) -> Array:
    """Zero occlusion alpha [N,s,s] for images [N,3,s,s]."""
    return np.zeros((len(images), *images.shape[2:]), np.float32)


def build_shape_parser(name: str) -> Parse:
    """Label the whole crop, or the ellipse inside it, as the subject."""

    def parse(images: torch.Tensor, size: int) -> Array:
        y, x = np.mgrid[:size, :size] / (size - 1) * 2 - 1
        inside = x**2 + y**2 <= 1 if name == "ellipse" else np.ones((size, size), bool)
        return np.repeat(np.where(inside, SKIN, 0).astype(np.uint8)[None], len(images), 0)

    return parse
