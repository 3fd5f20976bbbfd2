"""Directions that nobody labelled: SeFa's closed form, GANSpace's principal components, and a few example pictures."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from vidinv.editing import directions
from vidinv.editing.directions import Direction
from vidinv.errors import UsageError
from vidinv.generators.base import Generator

NAME = re.compile(r"(?:sefa|ganspace)\.\d{1,4}", re.ASCII)
EXAMPLES = ("sefa.1", "ganspace.1")
MOST = 100  # components by name
FEATURES = 2000  # samples whose features are looked at


def sefa(generator: Generator, rows: tuple[int, int], count: int) -> Tensor:
    """Unit directions [count,D] that change the modulation of rows first <= l < last most (Shen and Zhou, "SeFa").

    The eigenvectors of A^T A, largest first, A being the weights by which the generator first reads these rows
    (`Generator.first_weights`): those that make styles of w, or in PGGAN the first layer's. Signs are arbitrary: the
    largest component is made positive.
    """
    first, last = rows
    if not 0 <= first < last <= generator.num_ws or not 0 < count <= generator.w_dim:
        raise ValueError(f"cannot take {count} directions of rows {first}-{last - 1} of {generator.num_ws}")
    weights = generator.first_weights(rows).double().cpu()
    _, vectors = torch.linalg.eigh(weights.T @ weights)  # ascending
    return _signed(vectors.flip(1)[:, :count].T)


def ganspace(generator: Generator, count: int, samples: int = 10_000, seed: int = 0) -> Tensor:
    """Unit principal directions [count,D], the widest first (Harkonen et al., "GANSpace").

    Components of the generator's w where it has a mapping. Where w is z itself (one row), which spreads alike to all
    sides, those of the first layer's features, and the z that leads along each by least squares (the paper's BigGAN).
    """
    if not 0 < count <= generator.w_dim:
        raise ValueError(f"w has {generator.w_dim} components, not {count}")
    w = generator.sample(samples, seed=seed).double().cpu()
    centred = w - w.mean(0)
    if generator.num_ws > 1:
        _, vectors = torch.linalg.eigh(torch.cov(centred.T))
        return _signed(vectors.flip(1)[:, :count].T)
    few = centred[:FEATURES]
    along = _first_components(generator, w[:FEATURES], count)  # coordinates [n,count]
    led = torch.linalg.lstsq(along, few).solution  # [count,D]
    return _signed(led / led.norm(dim=1, keepdim=True))


@torch.no_grad()
def _first_components(generator: Generator, w: Tensor, count: int) -> Tensor:
    """Coordinates [N,count] of the first layer's features along their own principal components."""
    parts = [
        generator.synthesize(generator.broadcast(part.to(generator.w_avg)), stop=0).flatten(1).cpu()
        for part in w.split(256)
    ]
    features = torch.cat(parts)
    features = features - features.mean(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        _, _, components = torch.pca_lowrank(features, q=min(2 * count + 8, *features.shape), center=False)
    return (features @ components[:, :count]).double()


def component(name: str, generator: Generator) -> Direction:
    """The direction of a NAME, `sefa.1` or `ganspace.3`, on all rows of w+; counted from 1."""
    method, _, number = name.partition(".")
    count = int(number)
    if not 0 < count <= min(generator.w_dim, MOST):
        raise UsageError(f"there is no {name}", remedy=f"give {method}.1 to {method}.{min(generator.w_dim, MOST)}")
    rows = (0, generator.num_ws)
    found = sefa(generator, rows, count) if method == "sefa" else ganspace(generator, count)
    return directions.of_vector(name, found[-1], rows, generator, origin=f"{method}, component {number}")


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
