"""Measure smile, mouth and eye opening, face fullness and head pose from 106 landmarks."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from vidinv.faces.landmarks import EYE_LEFT, EYE_RIGHT, MOUTH_LEFT, MOUTH_RIGHT, NOSE_TIP, TO_68, to68
from vidinv.frames import Array


def smile_score(landmarks: Array) -> Array:
    """Return the smile score [...] of 106 landmarks [...,106,2]; unitless, larger is more, invariant to similarity.

    It is mouth width over eye distance, plus twice the lift of the mouth's corners over its centre, in eye distances.
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
    """Return (yaw, pitch, roll) in degrees of one face, 106 landmarks [106,2] in a width x height picture.

    Positive yaw looks to the picture's right, positive pitch up, positive roll tilts clockwise. The camera is assumed
    to have a focal length of the picture's longer side; solved by perspective-n-point on a generic head.
    """
    focal = float(max(width, height))
    camera = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    points = landmarks[list(_POSE_POINTS)].astype(np.float64)
    # Start from a frontal head at the distance that follows from its eye distance.
    distance = focal * 86.6 / max(float(np.linalg.norm(points[3] - points[2])), 1.0)
    start = np.array([*((points[0] - camera[:2, 2]) / focal * distance), distance])
    _, turn, _ = cv2.solvePnP(_POSE_MODEL, points, camera, None, np.zeros((3, 1)), start[:, None], True)
    matrix = cv2.Rodrigues(turn)[0]
    facing = -matrix[:, 2]  # where the nose points, towards the camera when frontal
    yaw = np.degrees(np.arctan2(facing[0], -facing[2]))
    pitch = np.degrees(np.arcsin(np.clip(-facing[1], -1, 1)))
    roll = np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))
    return float(yaw), float(pitch), float(roll)


def mouth_open(landmarks: Array) -> Array:
    """Return `opening` for an array."""
    return np.asarray(opening(torch.from_numpy(landmarks)))


def opening(landmarks: Tensor) -> Tensor:
    """Return the lip gap over the mouth width [...] of 106 landmarks [...,106,2]; differentiable.

    The gap is signed, measured down the face and perpendicular to the eye line, so that pressed lips give a negative
    value; a distance would grow again.
    """
    points = landmarks[..., list(TO_68), :]
    eyes = points[..., 42:48, :].mean(-2) - points[..., 36:42, :].mean(-2)
    down = torch.stack([-eyes[..., 1], eyes[..., 0]], -1) / eyes.norm(dim=-1, keepdim=True)
    gaps = (points[..., [67, 66, 65], :] - points[..., [61, 62, 63], :]) * down[..., None, :]
    return gaps.sum(-1).mean(-1) / (points[..., 54, :] - points[..., 48, :]).norm(dim=-1)


def eyes_open(landmarks: Array) -> Array:
    """Return the mean eye aspect ratio [...] of both eyes: lid distance over eye width (Soukupova and Cech)."""
    points, ratios = to68(landmarks), []
    for first in (36, 42):
        upper, lower = points[..., [first + 1, first + 2], :], points[..., [first + 5, first + 4], :]
        width = np.linalg.norm(points[..., first + 3, :] - points[..., first, :], axis=-1)
        ratios.append(np.linalg.norm(upper - lower, axis=-1).mean(-1) / width)
    return (ratios[0] + ratios[1]) / 2


def fullness(landmarks: Array) -> Array:
    """Return the face fullness [...]: jaw width at the mouth over the height from the eye line to the chin."""
    points = to68(landmarks)
    width = np.linalg.norm(points[..., 12, :] - points[..., 4, :], axis=-1)
    return width / np.linalg.norm(points[..., 8, :] - points[..., 36:48, :].mean(-2), axis=-1)
