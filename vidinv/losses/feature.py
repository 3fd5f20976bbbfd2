"""Compute the feature reconstruction loss (Feature-Style encoder paper, section 3.2)."""

from __future__ import annotations

from torch import Tensor


def feature_reconstruction(feature: Tensor, own: Tensor, *, stop_gradient: bool = False) -> Tensor:
    """Mean squared error of the encoded F against the generator's own G^K(w); both [N,C,h,w] -> scalar.

    The paper lets gradients reach w through G^K(w); the published training stops them (`stop_gradient`).
    """
    if feature.shape != own.shape:
        raise ValueError(f"feature codes must have one shape, got {tuple(feature.shape)}, {tuple(own.shape)}")
    return (feature - (own.detach() if stop_gradient else own)).square().mean()
