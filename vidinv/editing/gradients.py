"""What a differentiable scorer and an identity network feel of w, sample by sample (for `learn.preserving`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from vidinv.generators.base import Generator

OVERSHOOT = 1.2  # pictures are cut here, a little outside [-1,1], so that the brightest pixels still pass a gradient


@dataclass(frozen=True)
class Gradients:
    """Per sample [N,D]: d score / d w, and d (u.e) / d w for a random tangent u of the identity embedding e.

    u is drawn from a unit normal and freed of its part along e, so E[identity^T identity] is J^T J, the squared change
    of e per squared step of w (J = de/dw).
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
    """Both gradients at every w [D] on G(w), one w for all rows.

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
    """d score / d w [N,D] at every ws [L,D], felt through the rows first <= l < last of w+ alone.

    `paint`: ws [1,L,D] -> pictures [1,3,S,S]; `score`: pictures -> [1].
    """
    found = []
    for each in ws:
        point = each.detach().clone().requires_grad_()
        picture = paint(point[None]).clamp(-OVERSHOOT, OVERSHOOT)
        (gradient,) = torch.autograd.grad(score(picture).sum(), point)
        found.append(gradient[rows[0] : rows[1]].sum(0))
    return torch.stack(found)
