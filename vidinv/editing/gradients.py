"""Compute per-sample gradients of a scorer and an identity network with respect to w (for `learn.preserving`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from vidinv.generators.base import Generator

OVERSHOOT = 1.2  # pictures are clipped slightly outside [-1,1], so that the brightest pixels keep a gradient


@dataclass(frozen=True)
class Gradients:
    """Per sample [N,D]: d score / d w, and d (u.e) / d w for a random tangent u of the identity embedding e.

    u is a standard normal vector projected orthogonally to e, so that E[identity^T identity] = J^T J, the squared
    change of e per squared step of w (J = de/dw).
    """

    score: Tensor
    identity: Tensor


def measure(
    generator: Generator,
    w: Iterable[Tensor],
    score: Callable[[Tensor], Tensor],
    embed: Callable[[Tensor], Tensor],
    *,
    size: int = 512,
    seed: int = 0,
) -> Gradients:
    """Compute both gradients at every w [D] on G(w), with one w for all rows.

    `score`: pictures [N,3,S,S] -> [N]; `embed`: pictures -> unit embeddings [N,E]. The networks must be frozen.
    """
    random = torch.Generator().manual_seed(seed)
    scores, identities = [], []
    for each in w:
        point = each.detach().clone().requires_grad_()
        picture = generator.synthesize(generator.broadcast(point[None]), size=size).clamp(-OVERSHOOT, OVERSHOOT)
        face = embed(picture)[0]
        tangent = torch.randn(len(face), generator=random).to(face)
        tangent = tangent - (tangent @ face.detach()) * face.detach()
        scores.append(torch.autograd.grad(score(picture).sum(), point, retain_graph=True)[0])
        identities.append(torch.autograd.grad(face @ tangent, point)[0])
    return Gradients(torch.stack(scores), torch.stack(identities))


def along_rows(
    paint: Callable[[Tensor], Tensor],
    ws: Iterable[Tensor],
    score: Callable[[Tensor], Tensor],
    rows: tuple[int, int],
) -> Tensor:
    """Compute d score / d w [N,D] at every ws [L,D], through the rows first <= l < last of w+ only.

    `paint`: ws [1,L,D] -> pictures [1,3,S,S]; `score`: pictures -> [1].
    """
    found = []
    for each in ws:
        point = each.detach().clone().requires_grad_()
        picture = paint(point[None]).clamp(-OVERSHOOT, OVERSHOOT)
        (gradient,) = torch.autograd.grad(score(picture).sum(), point)
        found.append(gradient[rows[0] : rows[1]].sum(0))
    return torch.stack(found)
