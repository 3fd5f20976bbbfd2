"""Measure what edits change, on aligned crops: age, gender, smile, yaw and eyeglasses as numbers per image."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vidinv.faces.attributes import AgeGender, glasses_area, head_pose, load_age_gender, smile_score
from vidinv.faces.landmarks import Landmarker, load_landmarks
from vidinv.faces.parser import BiSeNet, load_parser
from vidinv.frames import Array

PARSED = 256  # pixels, side of the crop that the parser sees
WORN = 0.01  # share of the crop from which glasses count as worn
FACE_BOX = (0.22, 0.28, 0.78, 0.86)  # where an FFHQ-aligned crop holds the face, in units of its side


class Meter:
    """Attribute networks and landmarks behind one call."""

    def __init__(self, age_gender: AgeGender, landmarks: Landmarker, parser: BiSeNet) -> None:
        self.age_gender, self.landmarks, self.parser = age_gender, landmarks, parser

    @torch.inference_mode()
    def measure(self, crops: Tensor) -> dict[str, Array]:
        """FFHQ-aligned crops [N,3,S,S] in [-1,1] -> [N] of age (years), gender (P of female), smile, yaw, eyeglasses.

        Yaw is in degrees, smile as `attributes.smile_score` defines it, eyeglasses 1 where they are worn, else 0.
        """
        size = crops.shape[-1]
        age, female = self.age_gender(crops)
        box = np.array([FACE_BOX], np.float32) * size
        pictures = ((crops.clamp(-1, 1) + 1) * 127.5).byte().permute(0, 2, 3, 1).cpu().numpy()  # NCHW -> NHWC
        points = np.concatenate([self.landmarks.detect(picture, box) for picture in pictures])  # [N,106,2]
        yaw = np.array([head_pose(shape, size, size)[0] for shape in points])
        worn = glasses_area(self.parser.parse(crops, PARSED)) > WORN
        return {
            "age": age.cpu().numpy(),
            "gender": female.cpu().numpy(),
            "smile": smile_score(points),
            "yaw": yaw,
            "eyeglasses": worn.float().cpu().numpy(),
        }


def load_meter() -> Meter:
    """The meter from the weights cache."""
    return Meter(load_age_gender(), load_landmarks(), load_parser())
