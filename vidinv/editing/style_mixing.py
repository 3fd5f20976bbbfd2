"""Mix, sample, edit and interpolate an autoencoder's codes by scale.

A scale is a range of layer sides in pixels, which selects the rows of w+ that these layers read. The ranges of the
automodulators (Heljakka et al., section 4) are coarse 4-8, medium 16-32, fine from 64 on.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vidinv.errors import UsageError
from vidinv.generators.automodulator import Automodulator
from vidinv.generators.base import Generator

SCALES = {"coarse": (4, 8), "medium": (16, 32), "fine": (64, 4096)}  # first and last side in pixels
EXEMPLARS = (4, 64)  # minimum and maximum of example pictures with (and without) an attribute, as in the paper
Rows = tuple[int, int]  # first <= l < last of w+


def rows(generator: Generator, scale: str) -> Rows:
    """Return the rows of w+ of a scale: coarse, medium, fine, all, or sides such as 8-32. Raises UsageError."""
    if scale == "all":
        return 0, generator.num_ws
    try:
        low, high = SCALES.get(scale) or map(int, scale.split("-"))
    except ValueError as error:
        known = ", ".join([*SCALES, "all"])
        raise UsageError(
            f"{scale!r} is not a scale", remedy=f"choose {known}, or sides in pixels such as 8-32"
        ) from error
    own = {slot for spec in generator.layers if low <= spec.resolution <= high for slot in spec.slots}
    if not own:
        raise UsageError(f"{generator.name} has no layer from {low} to {high} pixels", remedy="choose another scale")
    is_last = high >= generator.resolution  # StyleGAN2's last row styles the last picture alone
    return min(own), generator.num_ws if is_last else max(own) + 1


def mix(a: Tensor, b: Tensor, taken: Rows) -> Tensor:
    """Return `a` with the rows `taken` replaced by those of `b`; both [N,L,D]."""
    mixed = a.clone()
    mixed[:, taken[0] : taken[1]] = b[:, taken[0] : taken[1]]
    return mixed


def vary(generator: Generator, ws: Tensor, kept: Rows, count: int, seed: int) -> Tensor:
    """Return conditional samples [count,L,D]: rows `kept` from `ws` [1,L,D], the others from new samples."""
    drawn = generator.broadcast(generator.sample(count, seed=seed))
    return mix(drawn, ws.expand(count, -1, -1), kept)


def attribute(having: Tensor, lacking: Tensor) -> Tensor:
    """Return the mean difference [L,D] of codes with an attribute [N,L,D] and codes without it [M,L,D].

    Raises UsageError unless there are 4 to 64 exemplars of each.
    """
    for codes in (having, lacking):
        if not EXEMPLARS[0] <= len(codes) <= EXEMPLARS[1]:
            raise UsageError(
                f"got {len(codes)} exemplars", remedy=f"give {EXEMPLARS[0]} to {EXEMPLARS[1]} pictures with and without"
            )
    return having.mean(0) - lacking.mean(0)


def shift(generator: Generator, ws: Tensor, along: Tensor, strength: float, moved: Rows) -> Tensor:
    """Move the rows `moved` of `ws` [N,L,D] by `strength` times `along` [L,D]; spherical codes stay on the sphere."""
    pushed = ws.clone()
    pushed[:, moved[0] : moved[1]] += strength * along[moved[0] : moved[1]]
    return on_its_manifold(generator, pushed)


def between_four(generator: Generator, corners: Tensor, steps: int) -> Tensor:
    """Interpolate bilinearly between `corners` [4,L,D] (top left, top right, bottom left, bottom right).

    Returns [steps^2,L,D], row by row. Raises ValueError for another number of corners or fewer than two steps.
    """
    if len(corners) != 4 or steps < 2:
        raise ValueError(f"four corners and at least two steps are needed, got {len(corners)} and {steps}")
    share = torch.linspace(0, 1, steps).to(corners)
    across = share[None, :, None, None]
    top = torch.lerp(corners[None, None, 0], corners[None, None, 1], across)  # [1,steps,L,D]
    bottom = torch.lerp(corners[None, None, 2], corners[None, None, 3], across)
    found = torch.lerp(top, bottom, share[:, None, None, None])  # [steps,steps,L,D]
    return on_its_manifold(generator, found.flatten(0, 1))


def on_its_manifold(generator: Generator, ws: Tensor) -> Tensor:
    """Project codes [N,L,D] to the generator's latent manifold: an automodulator's rows have length 1."""
    return functional.normalize(ws, dim=2) if isinstance(generator, Automodulator) else ws
