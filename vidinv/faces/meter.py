"""Measure what edits change, on aligned crops: a number per image for every attribute of UNITS."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vidinv.faces import geometry, looks
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
# One standard deviation of each over 2800 samples of the default generator: what a leak is counted in.
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
PARSED = 256  # pixels, side of the crop that the parser sees
WORN = 0.01  # share of the crop from which glasses count as worn
FACE_BOX = (0.22, 0.28, 0.78, 0.86)  # where an FFHQ-aligned crop holds the face, in units of its side


class Meter:
    """Attribute networks, landmarks and parser behind one call."""

    def __init__(self, age_gender: AgeGender, landmarks: Landmarker, parser: BiSeNet) -> None:
        self.age_gender, self.landmarks, self.parser = age_gender, landmarks, parser

    @torch.inference_mode()
    def measure(self, crops: Tensor) -> dict[str, Array]:
        """FFHQ-aligned crops [N,3,S,S] in [-1,1] -> attribute -> [N], in UNITS; `geometry` and `looks` define them.

        Positive yaw looks to the picture's right, positive pitch up; eyeglasses are 1 where they are worn, else 0.
        NaN stands for what cannot be seen (the shade of hair that is not there).
        """
        size = crops.shape[-1]
        age, female = self.age_gender(crops)
        box = np.array([FACE_BOX], np.float32) * size
        pictures = ((crops.clamp(-1, 1) + 1) * 127.5).byte().permute(0, 2, 3, 1).cpu().numpy()  # NCHW -> NHWC
        points = np.concatenate([self.landmarks.detect(picture, box) for picture in pictures])  # [N,106,2]
        pose = np.array([geometry.head_pose(shape, size, size) for shape in points])  # [N,3]
        small = resize(crops, PARSED).clamp(-1, 1)
        labels = self.parser.parse(small, PARSED)
        seen = {
            "age": age,
            "gender": female,
            "eyeglasses": (looks.glasses_area(labels) > WORN).float(),
            "bangs": looks.bangs(labels),
            "hair_length": looks.hair_length(labels),
            "hair_lightness": looks.hair_lightness(small, labels),
            "beard": looks.beard(small, labels),
            "makeup": looks.makeup(small, labels),
        }
        return {name: value.float().cpu().numpy() for name, value in seen.items()} | {
            "smile": geometry.smile_score(points),
            "yaw": pose[:, 0],
            "pitch": pose[:, 1],
            "mouth_open": geometry.mouth_open(points),
            "eyes_open": geometry.eyes_open(points),
            "chubby": geometry.fullness(points),
        }


def load_meter() -> Meter:
    """The meter from the weights cache."""
    return Meter(load_age_gender(), load_landmarks(), load_parser())
