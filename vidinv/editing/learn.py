"""Learn a direction from latent codes and measured attributes.

A binary attribute gets InterFaceGAN's linear boundary (its normal, here by logistic regression); a continuous one
(yaw) a ridge regression; a rare one (eyeglasses) the difference of means. An attribute whose scorer passes gradients
(age) needs no regression: its normal is the mean gradient, and `preserving` finds the way along which the attribute
rises most for what the person changes. All in float64, whitened by nothing: w's own metric is the one that edits use.
"""

from __future__ import annotations

import torch
from torch import Tensor


def ridge(w: Tensor, score: Tensor, weight: float = 1.0) -> Tensor:
    """Unit direction [D] along which `score` [N] rises, from w [N,D]: argmin |X d - y|^2 + weight * N * var |d|^2.

    With fewer samples than components it is X^T (X X^T + c I)^-1 y, which is the same and takes less.
    """
    _check(w, score)
    x, y = w.double() - w.double().mean(0), score.double() - score.double().mean()
    of = x.T if len(x) < x.shape[1] else x  # [D,N] or [N,D]
    gram = of.T @ of + weight * len(x) * x.var() * torch.eye(of.shape[1], dtype=x.dtype)
    if len(x) < x.shape[1]:
        return _unit(x.T @ torch.linalg.solve(gram, y))
    return _unit(torch.linalg.solve(gram, x.T @ y))


def boundary(w: Tensor, score: Tensor, share: float = 0.3, weight: float = 1e-2) -> Tensor:
    """Unit normal [D] of the plane between the highest and lowest `share` of the samples (InterFaceGAN, Sec. 3.1).

    A score of two values alone (a label) has all its samples on their sides.
    """
    _check(w, score)
    count, order = int(len(score) * share), score.argsort()
    low, high = order[:count], order[-count:]
    if len(values := score.unique()) == 2:
        low, high = ((score == value).nonzero().flatten() for value in values)
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


def difference(w: Tensor, has: Tensor) -> Tensor:
    """Unit direction [D] from the mean of the samples without an attribute to that of those with it; `has` [N] bool.

    For an attribute that few samples have: its mean is known where a boundary's normal is mostly noise.
    """
    _check(w, has)
    if has.all() or not has.any():
        raise ValueError(f"the mean difference takes samples of both kinds, got {int(has.sum())} of {len(has)} with it")
    return _unit(w[has].double().mean(0) - w[~has].double().mean(0))


def mean_gradient(gradients: Tensor) -> Tensor:
    """Unit normal [D] of an attribute from its gradients [N,D]: what raises it on average."""
    return _unit(gradients.double().mean(0))


def preserving(normal: Tensor, identity: Tensor, weight: float = 1.0) -> Tensor:
    """Unit direction d [D] that maximises n.d for a bounded d^T (M + weight * mean eigenvalue * I) d.

    `normal` n [D] is the attribute's, M = mean of g g^T over `identity` [N,D], the gradients of the person's embedding:
    so d raises the attribute by ways that a recognition network hardly feels. A large weight gives n itself.
    """
    if identity.ndim != 2 or normal.shape != identity.shape[1:]:
        raise ValueError(f"expected n [D] and gradients [N,D], got {tuple(normal.shape)}, {tuple(identity.shape)}")
    felt = identity.double().T @ identity.double() / len(identity)
    mean = felt.diagonal().mean()
    return _unit(torch.linalg.solve(felt + weight * mean * torch.eye(len(felt), dtype=felt.dtype), normal.double()))


def condition(direction: Tensor, others: list[Tensor]) -> Tensor:
    """Remove from `direction` [D] what it shares with `others` (InterFaceGAN's conditional manipulation)."""
    if not others:
        return direction
    basis, _ = torch.linalg.qr(torch.stack([other.double() for other in others], 1))  # [D,K]
    return _unit(direction.double() - basis @ (basis.T @ direction.double()))


def deviation(direction: Tensor, w: Tensor, normal: Tensor | None = None) -> float:
    """What strength 1 means: the step along d that moves w.n by its standard deviation over samples w [N,D].

    n is the attribute's unit normal, d itself where none is given: then the step is the standard deviation of w.d.
    """
    normal = direction if normal is None else normal
    slope = float(normal.double() @ direction.double())
    if slope <= 0:
        raise ValueError(f"the direction must raise the attribute, but its normal times it is {slope:.3g}")
    return float((w.double() @ normal.double()).std()) / slope


def _unit(vector: Tensor) -> Tensor:
    return (vector / vector.norm()).float()


def _check(w: Tensor, score: Tensor) -> None:
    if w.ndim != 2 or score.shape != (len(w),):
        raise ValueError(
            f"directions are learned from w [N,D] and scores [N], got {tuple(w.shape)}, {tuple(score.shape)}"
        )
