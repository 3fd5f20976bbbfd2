"""Attributes of faces: age and gender (dlib-models' networks), smile, head pose, eyeglasses."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from vidinv.faces.embedder import FFHQ_POINTS, TemplateWarp
from vidinv.faces.graph_network import GraphNetwork
from vidinv.faces.landmarks import EYE_LEFT, EYE_RIGHT, MOUTH_LEFT, MOUTH_RIGHT, NOSE_TIP
from vidinv.faces.parser import CLASSES
from vidinv.frames import Array
from vidinv.weights import cache

# Eye centres in dlib's face chip (padding 0.2), in units of its side: the means of its eye-corner positions.
_CHIP_EYES = (0.2 + np.array([(0.2273, 0.2214), (0.7528, 0.2212)])) / 1.4
_MEANS = (122.782, 117.001, 104.298)
# Age of each of the 81 classes in years; class 0 is the first year of life.
_YEARS = (0.25, *range(1, 81))


class AgeGender(nn.Module):
    """Apparent age and gender of FFHQ-aligned crops; frozen, differentiable in the image."""

    means: Tensor  # [1,3,1,1], buffers
    years: Tensor  # [81]

    def __init__(self, age: GraphNetwork, gender: GraphNetwork) -> None:
        super().__init__()
        self.age, self.gender = age, gender
        self.age_warp = TemplateWarp(_CHIP_EYES * 64 - 0.5, 64, FFHQ_POINTS[:2])
        self.gender_warp = TemplateWarp(_CHIP_EYES * 32 - 0.5, 32, FFHQ_POINTS[:2])
        self.register_buffer("means", torch.tensor(_MEANS).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("years", torch.tensor(_YEARS, dtype=torch.float32), persistent=False)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """[N,3,S,S] in [-1,1] -> (expected age in years [N], probability of female [N])."""
        (age,) = self.age(self._scaled(self.age_warp(crops)))
        (gender,) = self.gender(self._scaled(self.gender_warp(crops)))
        return age @ self.years, gender[:, 0]

    def _scaled(self, image: Tensor) -> Tensor:
        return ((image + 1) * 127.5 - self.means) / 256


def load_age_gender(age: str | Path | None = None, gender: str | Path | None = None) -> AgeGender:
    """Both networks from the weights cache, or from safetensors files."""
    networks = (
        GraphNetwork.load(age or cache.path("age/dlib")),
        GraphNetwork.load(gender or cache.path("gender/dlib")),
    )
    return AgeGender(*networks).eval()


def smile_score(landmarks: Array) -> Array:
    """Smile [...] of 106 landmarks [...,106,2] by the mouth's shape; unitless, larger is more, invariant to similarity.

    Mouth width over eye distance, plus twice the lift of the mouth's corners over the lips' middle, in eye distances.
    """
    left, right = (landmarks[..., list(group), :].mean(-2) for group in (EYE_LEFT, EYE_RIGHT))
    across = right - left
    distance = np.linalg.norm(across, axis=-1)
    down = np.stack([-across[..., 1], across[..., 0]], axis=-1) / distance[..., None] ** 2
    corners = (landmarks[..., MOUTH_LEFT, :] + landmarks[..., MOUTH_RIGHT, :]) / 2
    middle = landmarks[..., [62, 60], :].mean(-2)
    width = np.linalg.norm(landmarks[..., MOUTH_RIGHT, :] - landmarks[..., MOUTH_LEFT, :], axis=-1)
    return width / distance + 2 * ((middle - corners) * down).sum(-1)


_POSE_POINTS = (NOSE_TIP, 0, 35, 93, MOUTH_LEFT, MOUTH_RIGHT)  # nose tip, chin, outer eye corners, mouth corners
# A generic head in millimetres: x to the picture's right, y down, z away from the camera.
_POSE_MODEL = np.array(
    [(0, 0, 0), (0, 63.6, 12.5), (-43.3, -32.7, 26), (43.3, -32.7, 26), (-28.9, 28.9, 24.1), (28.9, 28.9, 24.1)]
)


def head_pose(landmarks: Array, width: int, height: int) -> tuple[float, float, float]:
    """(yaw, pitch, roll) in degrees of one face, 106 landmarks [106,2] in a width x height picture.

    Positive yaw looks to the picture's right, positive pitch up, positive roll tilts clockwise. The camera is assumed
    to have a focal length of the picture's longer side; solved by perspective-n-point on a generic head.
    """
    focal = float(max(width, height))
    camera = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    points = landmarks[list(_POSE_POINTS)].astype(np.float64)
    # Start from a frontal head at the distance that its eyes' span tells.
    distance = focal * 86.6 / max(float(np.linalg.norm(points[3] - points[2])), 1.0)
    start = np.array([*((points[0] - camera[:2, 2]) / focal * distance), distance])
    _, turn, _ = cv2.solvePnP(_POSE_MODEL, points, camera, None, np.zeros((3, 1)), start[:, None], True)
    matrix = cv2.Rodrigues(turn)[0]
    facing = -matrix[:, 2]  # where the nose points, towards the camera when frontal
    yaw = np.degrees(np.arctan2(facing[0], -facing[2]))
    pitch = np.degrees(np.arcsin(np.clip(-facing[1], -1, 1)))
    roll = np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))
    return float(yaw), float(pitch), float(roll)


def glasses_area(labels: Tensor) -> Tensor:
    """Share [N] of an aligned crop's pixels that the parser calls eyeglasses; labels [N,h,w]. Above 0.01: worn."""
    return (labels == CLASSES.index("glasses")).float().mean((1, 2))
