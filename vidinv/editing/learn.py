"""Learn a direction from latent codes and measured attributes.

A binary attribute uses InterFaceGAN's linear boundary (its normal, here by logistic regression), a continuous one
(yaw) ridge regression, a rare one (eyeglasses) the difference of means. An attribute with a differentiable scorer
(age) needs no regression: its normal is the mean gradient, and `preserving` finds the direction with the largest
increase of the attribute per change of identity. All computations use float64 without whitening, in the metric of w.
"""

from __future__ import annotations

import torch
from torch import Tensor


def ridge(w: Tensor, score: Tensor, weight: float = 1.0) -> Tensor:
    """Return the unit direction [D] along which `score` [N] increases, from w [N,D], by ridge regression.

    It minimises |X d - y|^2 + weight * N * var |d|^2. With fewer samples than components the equivalent and cheaper
    X^T (X X^T + c I)^-1 y is computed.
    """
    _check(w, score)
    x, y = w.double() - w.double().mean(0), score.double() - score.double().mean()
    of = x.T if len(x) < x.shape[1] else x  # [D,N] or [N,D]
    gram = of.T @ of + weight * len(x) * x.var() * torch.eye(of.shape[1], dtype=x.dtype)
    if len(x) < x.shape[1]:
        return _unit(x.T @ torch.linalg.solve(gram, y))
    return _unit(torch.linalg.solve(gram, x.T @ y))


def boundary(w: Tensor, score: Tensor, share: float = 0.3, weight: float = 1e-2) -> Tensor:
    """Return the unit normal [D] of the plane between the highest and lowest `share` (InterFaceGAN, Sec. 3.1)."""
    _check(w, score)
    low, high = sides(score, share)
    x = torch.cat([w[low], w[high]]).double()
    x = (x - x.mean(0)) / x.std()
    y = torch.cat([torch.zeros(len(low)), torch.ones(len(high))]).double()
    normal = torch.zeros(x.shape[1], dtype=x.dtype, requires_grad=True)
    optimiser = torch.optim.LBFGS([normal], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        logits = x @ normal
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, y) + weight * normal.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return _unit(normal.detach())


def sides(score: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Return the indices of the lowest and highest `share` of `score` [N]; for a binary score, those of each value."""
    if len(values := score.unique()) == 2:
        return (score == values[0]).nonzero().flatten(), (score == values[1]).nonzero().flatten()
    count, order = max(1, int(len(score) * share)), score.argsort()
    return order[:count], order[-count:]


def difference(w: Tensor, has: Tensor) -> Tensor:
    """Return the unit direction [D] from the mean without an attribute to the mean with it; `has` [N] bool.

    It suits a rare attribute, for which the normal of a boundary would be mostly noise.
    """
    _check(w, has)
    if has.all() or not has.any():
        raise ValueError(f"the mean difference takes samples of both kinds, got {int(has.sum())} of {len(has)} with it")
    return _unit(w[has].double().mean(0) - w[~has].double().mean(0))


def mean_gradient(gradients: Tensor) -> Tensor:
    """Return the unit normal [D] of an attribute: its mean gradient, from gradients [N,D]."""
    return _unit(gradients.double().mean(0))


def preserving(normal: Tensor, identity: Tensor, weight: float = 1.0) -> Tensor:
    """Return the unit direction d [D] that maximises n.d for a bounded d^T (M + weight * mean eigenvalue * I) d.

    `normal` n [D] is the attribute's, M = mean of g g^T over `identity` [N,D], the gradients of the identity embedding:
    d increases the attribute with little effect on a recognition network. A large weight gives n itself.
    """
    if identity.ndim != 2 or normal.shape != identity.shape[1:]:
        raise ValueError(f"expected n [D] and gradients [N,D], got {tuple(normal.shape)}, {tuple(identity.shape)}")
    felt = identity.double().T @ identity.double() / len(identity)
    mean = felt.diagonal().mean()
    return _unit(torch.linalg.solve(felt + weight * mean * torch.eye(len(felt), dtype=felt.dtype), normal.double()))


def condition(direction: Tensor, others: list[Tensor]) -> Tensor:
    """Project `direction` [D] orthogonally to `others` (InterFaceGAN's conditional manipulation)."""
    if not others:
        return direction
    basis, _ = torch.linalg.qr(torch.stack([other.double() for other in others], 1))  # [D,K]
    return _unit(direction.double() - basis @ (basis.T @ direction.double()))


def deviation(direction: Tensor, w: Tensor, normal: Tensor | None = None) -> float:
    """Return the step of strength 1: along d, it moves w.n by its standard deviation over samples w [N,D].

    n is the attribute's unit normal (default: d); with n = d the step is the standard deviation of w.d.
    """
    normal = direction if normal is None else normal
    slope = float(normal.double() @ direction.double())
    if slope <= 0:
        raise ValueError(f"the direction must increase the attribute, but n.d is {slope:.3g}")
    return float((w.double() @ normal.double()).std()) / slope


def _unit(vector: Tensor) -> Tensor:
    return (vector / vector.norm()).float()


def _check(w: Tensor, score: Tensor) -> None:
    if w.ndim != 2 or score.shape != (len(w),):
        raise ValueError(
            f"directions are learned from w [N,D] and scores [N], got {tuple(w.shape)}, {tuple(score.shape)}"
        )
