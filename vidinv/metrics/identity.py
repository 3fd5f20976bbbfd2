"""Compute the identity consistency of a clip (Feature-Style encoder paper, Eq. 9) from L2-normalised embeddings."""

from __future__ import annotations

from vidinv.frames import Array


def consistency(embeddings: Array) -> float:
    """Return IC = mean over i = 1..N of <R(x_i), R(x_0)>; embeddings [N+1,D], unit length, in frame order; N >= 1."""
    if embeddings.ndim != 2 or len(embeddings) < 2:
        raise ValueError(f"identity consistency takes at least two embeddings [N,D], got {embeddings.shape}")
    return float((embeddings[1:] @ embeddings[0]).mean())


def similarity(a: Array, b: Array) -> Array:
    """Return the cosines [N] of two sets of unit embeddings [N,D], row by row."""
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"similarity takes two equal sets [N,D], got {a.shape}, {b.shape}")
    return (a * b).sum(1)
