"""Directions that nobody labelled: SeFa's closed form, GANSpace's principal components, and a few example pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from vidinv.errors import UsageError
from vidinv.generators.base import Generator


def sefa(generator: Generator, rows: tuple[int, int], count: int) -> Tensor:
    """Unit directions [count,D] that change the modulation of rows first <= l < last most (Shen and Zhou, "SeFa").

    The eigenvectors of A^T A, largest first, A being the weights by which these rows of w+ become styles. A is read
    off `styles`, which is affine in w, so any generator that has it will do. Signs are arbitrary: the largest
    component is made positive.
    """
    first, last = rows
    if not 0 <= first < last <= generator.num_ws or not 0 < count <= generator.w_dim:
        raise ValueError(f"cannot take {count} directions of rows {first}-{last - 1} of {generator.num_ws}")
    with torch.no_grad():
        at = torch.zeros(generator.w_dim + 1, generator.num_ws, generator.w_dim, device=generator.w_avg.device)
        at[1:, first:last] = torch.eye(generator.w_dim, device=at.device)[:, None]
        styles = torch.cat([part.flatten(1) for part in generator.styles(at)], 1).double()  # [1+D,C]
        weights = (styles[1:] - styles[0]).T.cpu()  # A [C,D]
    _, vectors = torch.linalg.eigh(weights.T @ weights)  # ascending
    return _signed(vectors.flip(1)[:, :count].T)


def ganspace(generator: Generator, count: int, samples: int = 10_000, seed: int = 0) -> Tensor:
    """Unit principal components [count,D] of the generator's w, largest first (Harkonen et al., "GANSpace")."""
    if not 0 < count <= generator.w_dim:
        raise ValueError(f"w has {generator.w_dim} components, not {count}")
    w = generator.sample(samples, seed=seed).double().cpu()
    _, vectors = torch.linalg.eigh(torch.cov((w - w.mean(0)).T))
    return _signed(vectors.flip(1)[:, :count].T)


def exemplars(with_it: Tensor, without: Tensor) -> Tensor:
    """Unit direction [D] from the mean w+ of pictures without something to that of pictures with it, [N,L,D] each.

    Mean over the rows of w+, too. With few pictures the direction is noisy, and kept to the rows that matter it does
    well from four on (Deep Automodulators, Appendix C).
    """
    if with_it.ndim != 3 or with_it.shape[1:] != without.shape[1:]:
        raise ValueError(f"expected two of [N,L,D], got {tuple(with_it.shape)}, {tuple(without.shape)}")
    difference = (with_it.double().mean(0) - without.double().mean(0)).mean(0)
    if not difference.norm() > 1e-6:
        raise UsageError("the pictures with and without it have the same codes", remedy="give others")
    return (difference / difference.norm()).float()


def _signed(vectors: Tensor) -> Tensor:
    """Rows of unit norm whose largest component is positive, float32."""
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    return (vectors * largest.sign()).float()
