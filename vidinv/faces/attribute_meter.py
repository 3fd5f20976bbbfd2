"""Measure the attributes that edits change on aligned crops: one number per image and attribute of UNITS."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor

from vidinv.faces import geometry, parsed_attributes
from vidinv.faces.attributes import AgeGender, load_age_gender
from vidinv.faces.landmarks import Landmarker, load_landmarks
from vidinv.faces.parser import BiSeNet, load_parser
from vidinv.frames import Array
from vidinv.generators.ops import resize

UNITS = {
    "age": "years",
    "gender": "p_female",
    "smile": "mouth_width_ratio",
    "yaw": "degrees",
    "pitch": "degrees",
    "mouth_open": "gap_over_mouth_width",
    "eyes_open": "lid_gap_over_eye_width",
    "chubby": "jaw_width_over_height",
    "eyeglasses": "share_that_wear_them",
    "bangs": "share_of_forehead",
    "hair_length": "share_of_lower_crop",
    "hair_lightness": "luma",
    "beard": "cheek_minus_jaw_luma",
    "makeup": "lips_minus_skin_redness",
}
AGES = {"age", "gender"}
SHAPES = {
    "smile",
    "yaw",
    "pitch",
    "mouth_open",
    "eyes_open",
    "chubby",
}  # measured by landmarks; the others by the parser
# Standard deviation of each attribute over 2800 samples of the default generator, the unit of leakage.
SPREADS = {
    "age": 14.3,
    "gender": 0.47,
    "smile": 0.221,
    "yaw": 16.7,
    "pitch": 8.15,
    "mouth_open": 0.0729,
    "eyes_open": 0.0411,
    "chubby": 0.0761,
    "eyeglasses": 0.334,
    "bangs": 0.295,
    "hair_length": 0.187,
    "hair_lightness": 0.142,
    "beard": 0.0586,
    "makeup": 0.0702,
}
PARSED = 256  # pixels, side of the parser's input crop
WORN = 0.01  # share of eyeglass pixels from which glasses count as worn
FACE_BOX = (0.22, 0.28, 0.78, 0.86)  # face box of an FFHQ-aligned crop, in units of its side


class Meter:
    """Attribute networks behind one call, for some attributes of UNITS; networks that none needs may be None."""

    def __init__(
        self,
        age_gender: AgeGender | None,
        landmarks: Landmarker | None,
        parser: BiSeNet | None,
        names: Collection[str] = tuple(UNITS),
    ) -> None:
        self.age_gender, self.landmarks, self.parser, self.names = age_gender, landmarks, parser, names

    @torch.inference_mode()
    def measure(self, crops: Tensor) -> dict[str, Array]:
        """Measure FFHQ-aligned crops [N,3,S,S] in [-1,1]: attribute -> values [N], in UNITS.

        `geometry` and `parsed_attributes` define them. Positive yaw looks to the picture's right, positive pitch up;
        eyeglasses are 1 if worn, else 0. NaN means not visible (the lightness of absent hair).
        """
        found: dict[str, Array] = {}
        if self.age_gender is not None:
            age, female = self.age_gender(crops)
            found |= {"age": age.float().cpu().numpy(), "gender": female.float().cpu().numpy()}
        if self.landmarks is not None:
            found |= _shapes(self.landmarks, crops)
        if self.parser is not None:
            found |= _looks(self.parser, crops)
        return {name: found[name] for name in UNITS if name in self.names}


def _shapes(landmarks: Landmarker, crops: Tensor) -> dict[str, Array]:
    size = crops.shape[-1]
    box = np.array([FACE_BOX], np.float32) * size
    pictures = ((crops.clamp(-1, 1) + 1) * 127.5).byte().permute(0, 2, 3, 1).cpu().numpy()  # NCHW -> NHWC
    points = np.concatenate([landmarks.detect(picture, box) for picture in pictures])  # [N,106,2]
    pose = np.array([geometry.head_pose(shape, size, size) for shape in points])  # [N,3]
    return {
        "smile": geometry.smile_score(points),
        "yaw": pose[:, 0],
        "pitch": pose[:, 1],
        "mouth_open": geometry.mouth_open(points),
        "eyes_open": geometry.eyes_open(points),
        "chubby": geometry.fullness(points),
    }


def _looks(parser: BiSeNet, crops: Tensor) -> dict[str, Array]:
    small = resize(crops, PARSED).clamp(-1, 1)
    labels = parser.parse(small, PARSED)
    seen = {
        "eyeglasses": (parsed_attributes.glasses_area(labels) > WORN).float(),
        "bangs": parsed_attributes.bangs(labels),
        "hair_length": parsed_attributes.hair_length(labels),
        "hair_lightness": parsed_attributes.hair_lightness(small, labels),
        "beard": parsed_attributes.beard(small, labels),
        "makeup": parsed_attributes.makeup(small, labels),
    }
    return {name: value.float().cpu().numpy() for name, value in seen.items()}


def load_meter(names: Collection[str] | None = None) -> Meter:
    """Load the meter for the attributes `names` of UNITS (all if None) from the weights cache."""
    asked = set(UNITS if names is None else names)
    return Meter(
        load_age_gender() if asked & AGES else None,
        load_landmarks() if asked & SHAPES else None,
        load_parser() if asked - AGES - SHAPES else None,
        asked,
    )
