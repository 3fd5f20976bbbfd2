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

    Directions of style channels move s, what w+ becomes in the generator, in the same way: F~ = F + G^K(s~) - G^K(s).
    Directions compose by addition, so their order does not matter. Strength 0 returns the code unchanged.
    """
    for direction, _ in moves:
        if direction.space != code.space:
            raise UsageError(
                f"direction {direction.name!r} is of space {direction.space!r}, the code of {code.space!r}",
                remedy="use a direction of the generator's own space (vidinv directions list)",
            )
    going = [(direction, strength) for direction, strength in moves if strength != 0]
    rows = [direction.offset(strength, code.ws.shape[1]) for direction, strength in going if not direction.is_style]
    channels = [direction.style_offset(strength) for direction, strength in going if direction.is_style]
    offset = sum(rows, torch.zeros_like(code.ws[0].cpu()))
    return shift(generator, code, offset[None], styles=torch.stack(channels).sum(0)[None] if channels else None)


def shift(
    generator: Generator, code: Code, offset: Tensor, where: Tensor | None = None, styles: Tensor | None = None
) -> Code:
    """Eq. 1 for w~ = w + offset ([N,L,D] or [1,L,D]) and s~ = s(w~) + styles ([N,S] or [1,S], None for nothing).

    Offsets of zeros return the code unchanged. `where` [N,1,h,w] in [0,1], of the feature's side, says how much of the
    difference each place of F takes.
    """
    if not offset.any() and (styles is None or not styles.any()):
        return code
    moved = replace(code, ws=code.ws + offset.to(code.ws), styles=_sum(code, styles))
    if code.feature is None:
        return moved
    difference = _at_k(generator, moved) - _at_k(generator, code)
    if where is not None:
        difference = difference * where.to(difference)
    return replace(moved, feature=code.feature + difference)


def _sum(code: Code, styles: Tensor | None) -> Tensor | None:
    """The code's offset of style channels with another added: [N,S]."""
    if styles is None:
        return code.styles
    added = styles.to(code.ws).expand(len(code), -1)
    return added if code.styles is None else code.styles + added


def _at_k(generator: Generator, code: Code) -> Tensor:
    """G^K(s): [N,C,h,w], of the code's w+ and offset of style channels."""
    return generator.synthesize(code.ws, styles=generator.restyled(code.ws, code.styles), stop=code.at)
