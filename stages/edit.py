"""Edit: Eq. 1 of the Feature-Style encoder paper, F~ = F + G^K(w~) - G^K(w), on every face of a Work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vidinv.backends.interface import Parse
from vidinv.editing import feature_edit, plan
from vidinv.editing.plan import ResolvedEdit
from vidinv.faces import regions
from vidinv.frames import Analysis, Array, Code, EditLayer, Work
from vidinv.generators.base import Generator
from vidinv.stages.graph import Stage

PARSED = 256  # pixels


def build_edit_stage(generator: Generator, parse: Parse, moves: Sequence[ResolvedEdit], analysis: Analysis) -> Stage:
    """A stage that adds the `layers` of the edit, as the moves have them at each face's time."""

    def edit(works: Iterator[Work]) -> Iterator[Work]:
        for work in works:
            if work.codes is None or work.faces is None:
                yield work
                continue
            seconds = [analysis.second(work.frames.pts[position]) for position in work.faces.frame.tolist()]
            when = list(zip(seconds, work.faces.track.tolist(), strict=True))
            yield replace(work, layers=layers(generator, parse, work.faces.image, work.codes, moves, when))

    return edit


@torch.no_grad()
def layers(
    generator: Generator,
    parse: Parse,
    images: Tensor,
    code: Code,
    moves: Sequence[ResolvedEdit],
    when: Sequence[tuple[float, int]],
) -> tuple[EditLayer, ...]:
    """The layers of N faces [N,3,S,S] and their codes, each at its (second, person): a layer for every region.

    Moves that never move anything make none.

    The whole face comes first, then the head, then its parts; a part keeps the difference of F to itself.
    """
    seconds, persons = zip(*when, strict=True)
    found, moves = [], [move for move in moves if not move.is_still]
    labels: Array | None = None
    for name in sorted({plan.region(move) for move in moves}, key=regions.order):
        mine = [move for move in moves if plan.region(move) == name]
        offset = plan.offsets(mine, seconds, persons, code.ws.shape[1])
        styles = plan.style_offsets(mine, seconds, persons)
        where = None
        moves_f = code.feature is not None and (bool(offset.any()) or (styles is not None and bool(styles.any())))
        if moves_f and regions.is_local(name):
            labels = parse(images, PARSED) if labels is None else labels
            assert code.feature is not None
            where = _cells(labels, name, code.feature.shape[-1])
        code = feature_edit.shift(generator, code, offset, where, styles)
        found.append(EditLayer(name, code, tuple(plan.presence(mine, *each) for each in when)))
    return tuple(found)


def _cells(labels: Array, name: str, side: int) -> Tensor:
    """Share [N,1,side,side] of each of F's cells that lies in a region of labels [N,s,s]."""
    found = np.stack([regions.inside(each, name) for each in labels])
    return functional.adaptive_avg_pool2d(torch.from_numpy(found).float()[:, None], side)
