"""Spectral norm folded into weights (Miyato et al., "Spectral Normalization for GANs"): W / sigma, sigma = u^T W v."""

from __future__ import annotations

from torch import Tensor

ORIGINAL, LEFT, RIGHT = "_orig", "_u", "_v"  # what is stored for a weight that is normalised when used


def folded(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state with `weight` for every `weight_orig` [O,...], `weight_u` [O] and `weight_v` [rest]; others stay."""
    made = {}
    for key, value in state.items():
        name = key.removesuffix(ORIGINAL)
        if name != key and name + LEFT in state and name + RIGHT in state:
            matrix = value.double().flatten(1)
            sigma = state[name + LEFT].double() @ matrix @ state[name + RIGHT].double()
            made[name] = (value.double() / sigma).to(value.dtype)
        elif not _belongs(key, state):
            made[key] = value
    return made


def _belongs(key: str, state: dict[str, Tensor]) -> bool:
    """Whether a key is the u or v of a folded weight."""
    return any(key.endswith(end) and key.removesuffix(end) + ORIGINAL in state for end in (LEFT, RIGHT))
