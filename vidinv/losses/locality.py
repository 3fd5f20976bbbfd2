"""What keeps a fine-tuned generator the same elsewhere: the ball around a pivot, and the movement of its edits."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from vidinv.losses.reconstruction import Distance


def on_ball(pivot: Tensor, samples: Tensor, radius: float) -> Tensor:
    """w_r = w_p + radius (w_z - w_p) / |w_z - w_p|, row by row; [N,L,D] twice -> [N,L,D].

    Roich et al., "Pivotal Tuning for Latent-based Editing of Real Images", eq. 5.
    """
    if pivot.shape != samples.shape:
        raise ValueError(f"a sample for every pivot, got {tuple(pivot.shape)}, {tuple(samples.shape)}")
    apart = samples - pivot
    return pivot + radius * apart / apart.norm(dim=-1, keepdim=True).clamp(min=1e-8)


def ball(tuned: Tensor, frozen: Tensor, perceptual: Distance | None = None, pixel: float = 1.0) -> Tensor:
    """LPIPS + `pixel` L2 of what the tuned and the frozen generator draw on the ball: PTI, eq. 6; -> scalar."""
    found = pixel * functional.mse_loss(tuned, frozen)
    return found if perceptual is None else found + perceptual(tuned, frozen).mean()


def movement(tuned: tuple[Tensor, Tensor], frozen: tuple[Tensor, Tensor]) -> Tensor:
    """How far an edit's change of the picture is from what it was: pairs of (before, after), each [N,3,S,S] -> scalar.

    mean |(T' - T) - (G' - G)|^2 / mean |G' - G|^2: 0 where the edit moves what it moved, 1 where nothing moves any
    more. The picture itself may differ, which is what tuning is for; the ball would have it unlearned at once.
    """
    was = (frozen[1] - frozen[0]).detach()
    apart = tuned[1] - tuned[0] - was
    return (apart.square().mean((1, 2, 3)) / was.square().mean((1, 2, 3)).clamp(min=1e-6)).mean()
