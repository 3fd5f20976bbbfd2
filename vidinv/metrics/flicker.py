"""Measure the flicker of an edited video relative to its source, compensated for the source's motion."""

from __future__ import annotations

import cv2
import numpy as np

from vidinv.frames import Array


def flicker(source: Array, made: Array) -> float:
    """Return the mean |d_t+1 - warp(d_t)| with d = made - source: the change of the edit between frames.

    `source`, `made`: [T,H,W,3] float in [0,1], T >= 2, aligned with one another. d_t is warped to frame t+1 along the
    source's optical flow (DIS, Kroeger et al. 2016), so that a difference that moves with the face does not count; a
    static video of a moving source does. The result is a share of the full range. Raises ValueError for other shapes.
    """
    if source.shape != made.shape or source.ndim != 4 or len(source) < 2:
        raise ValueError(f"flicker takes two videos [T,H,W,3] of one shape, T >= 2, got {source.shape}, {made.shape}")
    grey = [cv2.cvtColor(np.rint(frame * 255).astype(np.uint8), cv2.COLOR_RGB2GRAY) for frame in source]
    difference = (made - source).astype(np.float32)
    height, width = source.shape[1:3]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    estimate = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # type: ignore[attr-defined]
    changes = []
    for t in range(len(source) - 1):
        flow = estimate.calc(grey[t + 1], grey[t], None)  # [H,W,2]: where each pixel of t+1 was at t
        carried = cv2.remap(
            difference[t], x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE
        )
        changes.append(float(np.abs(difference[t + 1] - carried).mean()))
    return float(np.mean(changes))
