"""Compute the image and latent reconstruction losses of the GAN-encoder paper (eq. 2 to 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from vidinv.losses.regions import Attention
from vidinv.losses.ssim import ssim_map

Distance = Callable[[Tensor, Tensor], Tensor]  # [N,3,S,S] twice -> [N]


@dataclass(frozen=True)
class Weights:
    """alpha, beta, gamma and delta of eq. 3; a weight of 0 switches its part off."""

    mse: float = 5.0
    cos: float = 3.0
    perceptual: float = 2.0
    ssim: float = 1.0


def likeness(
    made: Tensor, wanted: Tensor, perceptual: Distance, weights: Weights, *, pixels: bool = True
) -> dict[str, Tensor]:
    """Return the weighted parts of eq. 3, means over the batch; `made`, `wanted` [N,3,S,S] in [-1,1] -> {name: scalar}.

    Without `pixels` (strategy 1) the pixel terms are measured without a gradient; only the perceptual distance has one.
    """
    if made.shape != wanted.shape or made.ndim != 4:
        raise ValueError(f"pictures must have one shape, got {tuple(made.shape)}, {tuple(wanted.shape)}")
    seen = made if pixels else made.detach()
    found = {"mse": weights.mse * functional.mse_loss(seen, wanted)}
    found["cos"] = weights.cos * apart(seen, wanted)
    if weights.perceptual:
        found["lpips"] = weights.perceptual * perceptual(made, wanted).mean()
    if weights.ssim:
        found["ssim"] = weights.ssim * (1 - ssim_map(seen, wanted).mean())
    return found


def image_loss(
    made: Tensor,
    wanted: Tensor,
    perceptual: Distance,
    attentions: Sequence[tuple[Attention, float]] = (),
    weights: Weights = Weights(),
    *,
    pixels: bool = True,
) -> tuple[Tensor, dict[str, Tensor]]:
    """L(x, x') + mu1 L(AT1(x, x')) + mu2 L(AT2(x, x')), eq. 2: the sum, and its parts by name.

    `attentions` are AT1 and AT2 with their mu; parts of theirs end in 1 and 2.
    """
    parts = likeness(made, wanted, perceptual, weights, pixels=pixels)
    for number, (attention, mu) in enumerate(attentions, 1):
        near = likeness(*attention(made, wanted), perceptual, weights, pixels=pixels)
        parts |= {f"{name}{number}": mu * value for name, value in near.items()}
    return torch.stack(list(parts.values())).sum(), parts


def latent_loss(a: Tensor, b: Tensor, weights: Weights = Weights()) -> Tensor:
    """Eq. 4: 5 MSE + 3 (1 - cos), cos per sample over all axes; [N,...] twice -> scalar."""
    if a.shape != b.shape:
        raise ValueError(f"latents of one shape are compared, got {tuple(a.shape)}, {tuple(b.shape)}")
    return weights.mse * functional.mse_loss(a, b) + weights.cos * apart(a, b)


def apart(a: Tensor, b: Tensor) -> Tensor:
    """1 - cos of each sample, all its axes as one vector; the mean over the batch."""
    return 1 - functional.cosine_similarity(a.flatten(1), b.flatten(1), dim=1).mean()
