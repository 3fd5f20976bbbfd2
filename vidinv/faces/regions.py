"""Define named face regions to which an edit can be restricted, by parser classes."""

from __future__ import annotations

import cv2
import numpy as np

from vidinv.faces.parser import CLASSES, FACE
from vidinv.frames import Array

WHOLE = ("face", "head")  # restrict the blend only; other regions also restrict the edit of F
REGIONS: dict[str, tuple[int, ...]] = {
    "face": FACE,
    "head": (*FACE, *(CLASSES.index(name) for name in ("ear_left", "ear_right", "earring", "hair", "hat"))),
    "mouth": tuple(CLASSES.index(name) for name in ("mouth", "lip_upper", "lip_lower")),
    "eyes": tuple(CLASSES.index(name) for name in ("eye_left", "eye_right")),
    "brows": tuple(CLASSES.index(name) for name in ("brow_left", "brow_right")),
    "nose": (CLASSES.index("nose"),),
    "skin": tuple(CLASSES.index(name) for name in ("skin", "nose")),
    "hair": (CLASSES.index("hair"),),
}
GROW = 0.05  # of the crop's side: how far an edit may extend around a part


def labels(*names: str) -> tuple[int, ...]:
    """Return the parser's class numbers of `names`."""
    return tuple(CLASSES.index(name) for name in names)


def is_local(name: str) -> bool:
    """Return whether a region is a part of the face rather than the whole face or head."""
    return name not in WHOLE


def order(name: str) -> int:
    """Return the sort key of a region's layer: the whole face below, its parts above."""
    return list(REGIONS).index(name)


def inside(labels: Array, name: str) -> Array:
    """Return the mask of a region, bool [h,w], from labels [h,w]; a part includes its surroundings."""
    found = np.isin(labels, REGIONS[name])
    if not is_local(name):
        return found
    reach = max(1, round(GROW * labels.shape[0]))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return cv2.dilate(found.astype(np.uint8), kernel).astype(bool)
