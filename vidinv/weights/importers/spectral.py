"""Fold spectral norm into weights (Miyato et al., "Spectral Normalization for GANs"): W / sigma, sigma = u^T W v."""

from __future__ import annotations

from torch import Tensor

from vidinv.errors import WeightsUnavailable

ORIGINAL, LEFT, RIGHT = "_orig", "_u", "_v"  # suffixes of the tensors stored for a normalised weight


def fold_spectral_norm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Replace every `weight_orig` [O,...], `weight_u` [O] and `weight_v` [rest] by `weight`; other tensors stay.

    Raises WeightsUnavailable if the sizes of the three do not match.
    """
    made = {}
    for key, value in state.items():
        name = key.removesuffix(ORIGINAL)
        if name != key and value.ndim > 1 and name + LEFT in state and name + RIGHT in state:
            matrix, left, right = value.double().flatten(1), state[name + LEFT], state[name + RIGHT]
            if (left.numel(), right.numel()) != matrix.shape:
                sizes = f"{tuple(value.shape)}, {left.numel()} and {right.numel()}"
                raise WeightsUnavailable(f"{key} and its {LEFT} and {RIGHT} do not match: {sizes}")
            sigma = left.double().flatten() @ matrix @ right.double().flatten()
            made[name] = (value.double() / sigma).to(value.dtype)
        elif not _belongs(key, state):
            made[key] = value
    return made


def _belongs(key: str, state: dict[str, Tensor]) -> bool:
    """Return whether a key is the u or v of a folded weight."""
    return any(key.endswith(end) and key.removesuffix(end) + ORIGINAL in state for end in (LEFT, RIGHT))
