"""Find directions without labels: SeFa's closed form, GANSpace's principal components, and example pictures."""

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
MOST = 100  # largest component number in a direction name
FEATURES = 2000  # samples for the feature components


def sefa(generator: Generator, rows: tuple[int, int], count: int) -> Tensor:
    """Return the unit directions [count,D] with the largest effect on rows first <= l < last (Shen and Zhou, "SeFa").

    They are the eigenvectors of A^T A, largest first, where A are the first weights that the generator applies to these
    rows (`Generator.first_weights`): those from w to styles, or in PGGAN the first layer's. Signs are arbitrary: the
    largest component is made positive. Raises ValueError for an invalid count or rows.
    """
    first, last = rows
    if not 0 <= first < last <= generator.num_ws or not 0 < count <= generator.w_dim:
        raise ValueError(f"cannot take {count} directions of rows {first}-{last - 1} of {generator.num_ws}")
    weights = generator.first_weights(rows).double().cpu()
    _, vectors = torch.linalg.eigh(weights.T @ weights)  # ascending
    return _signed(vectors.flip(1)[:, :count].T)


def ganspace(generator: Generator, count: int, samples: int = 10_000, seed: int = 0) -> Tensor:
    """Return unit principal directions [count,D], largest variance first (Harkonen et al., "GANSpace").

    They are the principal components of w if the generator has a mapping network. If w is z itself (one row), which is
    isotropic, they are the components of the first layer's features, mapped to z by least squares (the paper's BigGAN).
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
    """Return the coordinates [N,count] of the first layer's features along their principal components."""
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
    """Return the direction named `sefa.1` or `ganspace.3` (counted from 1) on all rows of w+. Raises UsageError."""
    method, _, number = name.partition(".")
    count = int(number)
    if not 0 < count <= min(generator.w_dim, MOST):
        raise UsageError(
            f"the direction {name} does not exist", remedy=f"give {method}.1 to {method}.{min(generator.w_dim, MOST)}"
        )
    rows = (0, generator.num_ws)
    found = sefa(generator, rows, count) if method == "sefa" else ganspace(generator, count)
    return directions.of_vector(name, found[-1], rows, generator, origin=f"{method}, component {number}")


def exemplars(with_it: Tensor, without: Tensor) -> Tensor:
    """Return the unit direction [D] from the mean w+ of pictures without an attribute to that with it, [N,L,D] each.

    The mean includes the rows of w+. With few pictures the direction is noisy; restricted to the relevant rows, four
    pictures suffice (Deep Automodulators, Appendix C). Raises UsageError if both means are equal.
    """
    if with_it.ndim != 3 or with_it.shape[1:] != without.shape[1:]:
        raise ValueError(f"expected two of [N,L,D], got {tuple(with_it.shape)}, {tuple(without.shape)}")
    difference = (with_it.double().mean(0) - without.double().mean(0)).mean(0)
    if not difference.norm() > 1e-6:
        raise UsageError("the pictures with and without the attribute have the same codes", remedy="give others")
    return (difference / difference.norm()).float()


def _signed(vectors: Tensor) -> Tensor:
    """Return the rows with unit norm and positive largest component, float32."""
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    return (vectors * largest.sign()).float()
