"""Editing a code with a feature: Eq. 1 of the Feature-Style encoder paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from vidinv.editing.directions import Direction
from vidinv.errors import UsageError
from vidinv.frames import Code
from vidinv.generators.base import Generator


def edit(generator: Generator, code: Code, moves: Sequence[tuple[Direction, float]]) -> Code:
    """w~ = w + sum of moves; F~ = F + G^K(w~) - G^K(w), both passes with the same noise (Eq. 1).

    Directions compose by addition in w+, so their order does not matter. Strength 0 returns the code unchanged.
    """
    for direction, _ in moves:
        if direction.space != code.space:
            raise UsageError(
                f"direction {direction.name!r} is of space {direction.space!r}, the code of {code.space!r}",
                remedy="use a direction of the generator's own space (vidinv directions list)",
            )
    offset = sum((d.offset(s, code.ws.shape[1]) for d, s in moves if s != 0), torch.zeros_like(code.ws[0].cpu()))
    return shift(generator, code, offset[None])


def shift(generator: Generator, code: Code, offset: Tensor, where: Tensor | None = None) -> Code:
    """Eq. 1 for w~ = w + offset ([N,L,D] or [1,L,D]); an offset of zeros returns the code unchanged.

    `where` [N,1,h,w] in [0,1], of the feature's side, says how much of the difference each place of F takes.
    """
    if not offset.any():
        return code
    ws = code.ws + offset.to(code.ws)
    if code.feature is None:
        return replace(code, ws=ws)
    difference = _feature_shift(generator, code, ws)
    if where is not None:
        difference = difference * where.to(difference)
    return replace(code, ws=ws, feature=code.feature + difference)


def _feature_shift(generator: Generator, code: Code, ws: Tensor) -> Tensor:
    """G^K(w~) - G^K(w): [N,C,h,w]."""
    both = generator.synthesize(torch.cat([ws, code.ws]), stop=code.at)
    moved, still = both.chunk(2)
    return moved - still
