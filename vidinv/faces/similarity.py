"""Fit, apply, invert and scale similarity transforms of the plane (2x3 matrices)."""

from __future__ import annotations

import numpy as np

from vidinv.frames import Array


def fit(source: Array, target: Array) -> Array:
    """Fit the least-squares similarity (rotation, uniform scale, shift) [2,3] float64 with target = A source + t.

    Both are [K,2], K >= 2. Closed form: in complex numbers, target = z * source + shift.
    """
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2 or len(source) < 2:
        raise ValueError(f"fit takes two equal sets of at least two points [K,2], got {source.shape}, {target.shape}")
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    s, t = (points @ np.array([1, 1j]) for points in (source, target))
    centred = s - s.mean()
    z = (centred.conj() @ (t - t.mean())) / max(float((abs(centred) ** 2).sum()), 1e-12)
    shift = t.mean() - z * s.mean()
    return np.array([[z.real, -z.imag, shift.real], [z.imag, z.real, shift.imag]])


def apply(affine: Array, points: Array) -> Array:
    """Map points [..., 2] by affine [2,3]."""
    return points @ affine[:, :2].T + affine[:, 2]


def invert(affine: Array) -> Array:
    """Return the inverse of an affine map [2,3] (or a stack [..., 2,3]), float64."""
    affine = np.asarray(affine, np.float64)
    linear = np.linalg.inv(affine[..., :2])
    return np.concatenate([linear, -linear @ affine[..., 2:]], axis=-1)


def compose(outer: Array, inner: Array) -> Array:
    """Return the map outer(inner(x)), [2,3] float64."""
    return np.concatenate([outer[:, :2] @ inner[:, :2], outer[:, :2] @ inner[:, 2:] + outer[:, 2:]], axis=1)


def scale(affine: Array) -> float:
    """Return the scale of the map: target pixels per source pixel."""
    return float(np.hypot(affine[0, 0], affine[1, 0]))
