"""Compute the FFHQ alignment as a similarity between crop and frame, and smooth it along a track."""

from __future__ import annotations

import numpy as np

from vidinv.faces import similarity
from vidinv.faces.landmarks import five_points
from vidinv.faces.similarity import invert
from vidinv.faces.warp import paste, warp_cpu, warp_device
from vidinv.frames import Array

__all__ = ["ffhq_quad", "invert", "paste", "smooth", "to_frame", "warp_cpu", "warp_device"]


def ffhq_quad(eye_left: Array, eye_right: Array, mouth_left: Array, mouth_right: Array) -> Array:
    """Return the FFHQ crop's corners [4,2]: top left, bottom left, bottom right, top right, in frame pixels.

    Each argument is a point [2]; left and right as in the picture. Karras et al., "A Style-Based Generator
    Architecture", appendix: a square around 0.1 of the way from eyes to mouth, along the eyes and the face's axis.
    """
    eyes, mouth = (eye_left + eye_right) / 2, (mouth_left + mouth_right) / 2
    between, down = eye_right - eye_left, mouth - eyes
    x = between - np.array([-down[1], down[0]])
    x = x / np.hypot(*x) * max(2.0 * np.hypot(*between), 1.8 * np.hypot(*down))
    y = np.array([-x[1], x[0]])
    centre = eyes + 0.1 * down
    return np.stack([centre - x - y, centre - x + y, centre + x + y, centre + x - y])


def to_frame(landmarks: Array, size: int) -> Array:
    """Return the similarity [2,3] float64 from pixel centres of a size x size crop to frame pixel centres.

    `landmarks` [106,2] or [68,2] in frame pixels.
    """
    eye_left, eye_right, _, mouth_left, mouth_right = five_points(landmarks)
    corners = ffhq_quad(eye_left, eye_right, mouth_left, mouth_right)
    edge = size - 0.5  # the quad joins the outer edges of the corner pixels
    return similarity.fit(np.array([(-0.5, -0.5), (-0.5, edge), (edge, edge), (edge, -0.5)]), corners)


def smooth(transforms: Array, frames: Array, *, size: int, sigma_centre: float = 1.0, sigma_axes: float = 3.0) -> Array:
    """Smooth one track's transforms [T,2,3] inside one shot by a zero-phase Gaussian; sigmas in frames.

    The crop's centre and its axes (rotation and scale) are smoothed separately, at ascending frame indices `frames`
    [T]. Each value is a Gaussian-weighted line fit at its own time: inside the shot it equals the Gaussian mean; at
    its ends and near gaps it preserves steady motion.
    """
    if transforms.shape != (len(frames), 2, 3):
        raise ValueError(f"smooth takes [T,2,3] for {len(frames)} frames, got {transforms.shape}")
    middle = np.full(2, (size - 1) / 2)
    centre = transforms[:, :, :2] @ middle + transforms[:, :, 2]
    centre = _local_line(centre, frames, sigma_centre)
    linear = _local_line(transforms[:, :, :2].reshape(-1, 4), frames, sigma_axes).reshape(-1, 2, 2)
    return np.concatenate([linear, (centre - linear @ middle)[..., None]], axis=2)


def _local_line(values: Array, times: Array, sigma: float) -> Array:
    """Fit a Gaussian-weighted line to values [T,D] at each of `times` [T] and evaluate it there."""
    if sigma <= 0 or len(values) < 2:
        return values.astype(np.float64)
    out = np.empty(values.shape, np.float64)
    for i, time in enumerate(times):
        low, high = np.searchsorted(times, [time - 4 * sigma, time + 4 * sigma + 1e-9])
        offset = (times[low:high] - time).astype(np.float64)
        weight = np.exp(-0.5 * (offset / sigma) ** 2)
        s0, s1, s2 = weight.sum(), weight @ offset, weight @ offset**2
        spread = s0 * s2 - s1 * s1
        line = weight / s0 if spread < 1e-9 else weight * (s2 - s1 * offset) / spread
        out[i] = line @ values[low:high]
    return out
