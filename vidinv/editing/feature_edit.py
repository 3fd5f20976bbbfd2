"""Edit a code together with its feature code: Eq. 1 of the Feature-Style encoder paper."""

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
    """Apply directions with strengths: w~ = w + sum of offsets; F~ = F + G^K(w~) - G^K(w), with equal noise (Eq. 1).

    Directions of style channels change s, the generator's modulation of w+, likewise: F~ = F + G^K(s~) - G^K(s).
    Directions compose by addition, so their order does not matter. Strength 0 returns the code unchanged.
    """
    for direction, _ in moves:
        if direction.space != code.space:
            raise UsageError(
                f"direction {direction.name!r} belongs to the space {direction.space!r}, the code to {code.space!r}",
                remedy="use a direction of the generator's space (see vidinv directions list)",
            )
    going = [(direction, strength) for direction, strength in moves if strength != 0]
    rows = [direction.offset(strength, code.ws.shape[1]) for direction, strength in going if not direction.is_style]
    channels = [direction.style_offset(strength) for direction, strength in going if direction.is_style]
    offset = sum(rows, torch.zeros_like(code.ws[0].cpu()))
    return shift(generator, code, offset[None], styles=torch.stack(channels).sum(0)[None] if channels else None)


def shift(
    generator: Generator, code: Code, offset: Tensor, where: Tensor | None = None, styles: Tensor | None = None
) -> Code:
    """Apply Eq. 1 with w~ = w + offset ([N,L,D] or [1,L,D]) and s~ = s(w~) + styles ([N,S], [1,S] or None).

    Zero offsets return the code unchanged. `where` [N,1,h,w] in [0,1], at the feature's size, weights the change of F.
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
    """Return the sum [N,S] of the code's style offset and another one."""
    if styles is None:
        return code.styles
    added = styles.to(code.ws).expand(len(code), -1)
    return added if code.styles is None else code.styles + added


def _at_k(generator: Generator, code: Code) -> Tensor:
    """Return G^K(s) [N,C,h,w] of the code's w+ and style offset."""
    return generator.synthesize(code.ws, styles=generator.restyled(code.ws, code.styles), stop=code.at)
