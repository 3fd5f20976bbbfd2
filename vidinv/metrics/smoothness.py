"""Compute the perceptual path length (Karras et al., "A Style-Based Generator Architecture ...", section 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

EPS = 1e-4
KEPT = (0.01, 0.99)  # quantiles between which lengths are averaged


@torch.no_grad()
def path_length(
    draw: Callable[[Tensor], Tensor],
    between: Callable[[Tensor, Tensor, Tensor], Tensor],
    distance: Callable[[Tensor, Tensor], Tensor],
    pairs: Iterable[tuple[Tensor, Tensor]],
    *,
    full: bool = True,
    seed: int = 0,
) -> float:
    """Return the mean of d(G(path(t)), G(path(t + eps))) / eps^2 over pairs of latents, eps = 1e-4.

    Lengths outside the quantiles KEPT are ignored. `pairs` are batches of two latents [N,D]; `between` (a, b, t [N,1])
    is the path, `draw` renders a latent, `distance` is LPIPS. With `full`, t is uniform on the path; else t = 0.
    """
    random = torch.Generator().manual_seed(seed)
    found = []
    for a, b in pairs:
        t = torch.rand(len(a), 1, generator=random).to(a) * float(full)
        found.append(distance(draw(between(a, b, t)), draw(between(a, b, t + EPS))).double() / EPS**2)
    lengths = torch.cat(found)
    low, high = (torch.quantile(lengths, share) for share in KEPT)
    return float(lengths[(lengths >= low) & (lengths <= high)].mean())


def straight(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Interpolate linearly from a to b [N,D] at t [N,1], for W."""
    return torch.lerp(a, b, t)


def round_the_sphere(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Interpolate on the great circle from a to b [N,D], both of length 1, at t [N,1], for an automodulator's z."""
    angle = torch.acos((a * b).sum(1, keepdim=True).clamp(-1 + 1e-7, 1 - 1e-7))
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)
