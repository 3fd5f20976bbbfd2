"""Regularise a fine-tuned generator away from its pivots: the ball around a pivot, and the movement of edits."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from vidinv.losses.reconstruction import Distance


def points_on_ball(pivot: Tensor, samples: Tensor, radius: float) -> Tensor:
    """w_r = w_p + radius (w_z - w_p) / |w_z - w_p|, row by row; [N,L,D] twice -> [N,L,D].

    Roich et al., "Pivotal Tuning for Latent-based Editing of Real Images", eq. 5.
    """
    if pivot.shape != samples.shape:
        raise ValueError(
            f"pivots and samples must have one shape [N,L,D], got {tuple(pivot.shape)}, {tuple(samples.shape)}"
        )
    apart = samples - pivot
    return pivot + radius * apart / apart.norm(dim=-1, keepdim=True).clamp(min=1e-8)


def ball_loss(tuned: Tensor, frozen: Tensor, perceptual: Distance | None = None, pixel: float = 1.0) -> Tensor:
    """Return LPIPS + `pixel` L2 between images of the tuned and the frozen generator on the ball (PTI, eq. 6)."""
    found = pixel * functional.mse_loss(tuned, frozen)
    return found if perceptual is None else found + perceptual(tuned, frozen).mean()


def edit_effect_loss(tuned: tuple[Tensor, Tensor], frozen: tuple[Tensor, Tensor]) -> Tensor:
    """Compare an edit's effect before and after tuning: pairs of (before, after), each [N,3,S,S] -> scalar.

    mean |(T' - T) - (G' - G)|^2 / mean |G' - G|^2: 0 if the effect is unchanged, 1 if the edit has no effect any more.
    The picture itself may differ, which is the purpose of tuning; the ball loss would undo that.
    """
    was = (frozen[1] - frozen[0]).detach()
    apart = tuned[1] - tuned[0] - was
    return (apart.square().mean((1, 2, 3)) / was.square().mean((1, 2, 3)).clamp(min=1e-6)).mean()
