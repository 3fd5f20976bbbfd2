"""Mix and interpolate the codes of two faces: style mixing with a feature code (Feature-Style encoder, Eq. 1)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from vidinv.editing import feature_edit
from vidinv.frames import Code
from vidinv.generators.base import Generator


def mix(generator: Generator, a: Code, b: Code, rows: tuple[int, int], share: float = 1.0) -> Code:
    """Interpolate the rows first <= l < last of `a`'s w+ towards `b`'s by `share`; F follows by Eq. 1.

    With rows after the layer that F replaces, F stays that of `a`: the paper's style mixing, F of one face and w of
    another. Rows before it transfer b's pose and shape into F. Raises ValueError for codes of different spaces.
    """
    _check(a, b)
    first, last = rows
    offset = torch.zeros_like(a.ws)
    offset[:, first:last] = share * (b.ws - a.ws)[:, first:last]
    return feature_edit.shift(generator, a, offset)


def between(generator: Generator, a: Code, b: Code, share: float) -> Code:
    """Interpolate from `a` to `b` by `share` in [0,1]: w linearly, and F as G^K(w) plus the interpolated residual.

    The residual F - G^K(w) of each code is interpolated rather than F itself, which avoids ghosting.
    """
    _check(a, b)
    ws = torch.lerp(a.ws, b.ws, share)
    if a.feature is None or b.feature is None:
        return replace(a, ws=ws, feature=None, at=None)
    return replace(
        a, ws=ws, feature=_own(generator, ws, a.at) + torch.lerp(_rest(generator, a), _rest(generator, b), share)
    )


def rows_behind(generator: Generator, at: int | None) -> tuple[int, int]:
    """Return the rows (first, last) of w+ that only layers after `at` read; all rows if `at` is None."""
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
            f"mixing needs codes of one shape and space, got {tuple(a.ws.shape)} of {a.space!r} at {a.at} "
            f"and {tuple(b.ws.shape)} of {b.space!r} at {b.at}"
        )
