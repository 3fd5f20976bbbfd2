"""Mixing and interpolating two faces' codes: style mixing with a feature code (Feature-Style encoder, Eq. 1)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from vidinv.editing import feature_edit
from vidinv.frames import Code
from vidinv.generators.base import Generator


def mix(generator: Generator, a: Code, b: Code, rows: tuple[int, int], share: float = 1.0) -> Code:
    """`a` with the rows first <= l < last of w+ moved to `b`'s by `share`; F follows by Eq. 1.

    With the rows behind the layer that F replaces, F is a's own: the paper's style mixing, F of one face and w of
    another. Rows before it carry b's pose and shape into F. Raises ValueError for codes of different spaces.
    """
    _check(a, b)
    first, last = rows
    offset = torch.zeros_like(a.ws)
    offset[:, first:last] = share * (b.ws - a.ws)[:, first:last]
    return feature_edit.shift(generator, a, offset)


def between(generator: Generator, a: Code, b: Code, share: float) -> Code:
    """The code at `share` of the way from `a` to `b`: w in a straight line, and F as G^K(w) plus what lies between.

    What each F holds beyond its own G^K(w) is interpolated, not F itself, so that no face shines through another.
    """
    _check(a, b)
    ws = torch.lerp(a.ws, b.ws, share)
    if a.feature is None or b.feature is None:
        return replace(a, ws=ws, feature=None, at=None)
    return replace(
        a, ws=ws, feature=_own(generator, ws, a.at) + torch.lerp(_rest(generator, a), _rest(generator, b), share)
    )


def rows_behind(generator: Generator, at: int | None) -> tuple[int, int]:
    """The rows of w+ that only layers behind `at` read; all of them where no layer is replaced."""
    if at is None:
        return 0, generator.num_ws
    return max(slot for layer in generator.layers[: at + 1] for slot in layer.slots) + 1, generator.num_ws


def _rest(generator: Generator, code: Code) -> Tensor:
    """F - G^K(w)."""
    assert code.feature is not None
    return code.feature - _own(generator, code.ws, code.at)


def _own(generator: Generator, ws: Tensor, at: int | None) -> Tensor:
    """G^K(w)."""
    return generator.synthesize(ws, stop=at)


def _check(a: Code, b: Code) -> None:
    if a.space != b.space or a.at != b.at or a.ws.shape != b.ws.shape:
        raise ValueError(
            f"codes of one shape and space are mixed, got {tuple(a.ws.shape)} of {a.space!r} at {a.at} "
            f"and {tuple(b.ws.shape)} of {b.space!r} at {b.at}"
        )
