"""Edit: Eq. 1 of the Feature-Style encoder paper, F~ = F + G^K(w~) - G^K(w), on every face of a Work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stages.graph import Stage
from stages.parts import Parse
from vidinv.editing import feature_edit, plan
from vidinv.editing.plan import Move
from vidinv.faces import regions
from vidinv.frames import Analysis, Array, Code, Work
from vidinv.generators.base import Generator

PARSED = 256  # pixels


def build(generator: Generator, parse: Parse, moves: Sequence[Move], analysis: Analysis) -> Stage:
    """A stage that adds `edited`, the code of each face as the moves have it at its time, `presence` and `regions`."""

    def edit(works: Iterator[Work]) -> Iterator[Work]:
        for work in works:
            if work.codes is None or work.faces is None:
                yield work
                continue
            seconds = [analysis.second(work.frames.pts[position]) for position in work.faces.frame.tolist()]
            when = list(zip(seconds, work.faces.track.tolist(), strict=True))
            with torch.no_grad():
                edited = moved(generator, parse, work.faces.image, work.codes, moves, when)
            seen = tuple(plan.presence(moves, *each) for each in when)
            where = tuple(plan.regions(moves, *each) for each in when)
            yield replace(work, edited=edited, presence=seen, regions=where)

    return edit


def moved(
    generator: Generator,
    parse: Parse,
    images: Tensor,
    code: Code,
    moves: Sequence[Move],
    when: Sequence[tuple[float, int]],
) -> Code:
    """The codes of N faces after the moves, each at its (second, person).

    Moves of the whole face or head go first, then those of each part, whose difference of F stays in that part.
    """
    seconds, persons = zip(*when, strict=True)
    parts = sorted({plan.region(move) for move in moves if regions.is_local(plan.region(move))})
    whole = [move for move in moves if not regions.is_local(plan.region(move))]
    slots = code.ws.shape[1]
    code = feature_edit.shift(generator, code, plan.offsets(whole, seconds, persons, slots))
    for name in parts:
        mine = [move for move in moves if plan.region(move) == name]
        offset = plan.offsets(mine, seconds, persons, slots)
        if offset.any():
            where = None if code.feature is None else _cells(parse(images, PARSED), name, code.feature.shape[-1])
            code = feature_edit.shift(generator, code, offset, where)
    return code


def _cells(labels: Array, name: str, side: int) -> Tensor:
    """Share [N,1,side,side] of each of F's cells that lies in a region of labels [N,s,s]."""
    found = np.stack([regions.inside(each, [name]) for each in labels])
    return functional.adaptive_avg_pool2d(torch.from_numpy(found).float()[:, None], side)
