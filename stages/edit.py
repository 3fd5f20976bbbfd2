"""Edit: Eq. 1 of the Feature-Style encoder paper, F~ = F + G^K(w~) - G^K(w), on every face of a Work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from stages.graph import Stage
from vidinv.editing import feature_edit, plan
from vidinv.editing.plan import Move
from vidinv.frames import Analysis, Work
from vidinv.generators.base import Generator


def build(generator: Generator, moves: Sequence[Move], analysis: Analysis) -> Stage:
    """A stage that adds `edited`, the code of each face as the moves have it at its time, and its `presence`."""

    def edit(works: Iterator[Work]) -> Iterator[Work]:
        for work in works:
            if work.codes is None or work.faces is None:
                yield work
                continue
            seconds = [analysis.second(work.frames.pts[position]) for position in work.faces.frame.tolist()]
            persons = work.faces.track.tolist()
            offset = plan.offsets(moves, seconds, persons, work.codes.ws.shape[1])
            with torch.no_grad():
                edited = feature_edit.shift(generator, work.codes, offset)
            seen = tuple(plan.presence(moves, *when) for when in zip(seconds, persons, strict=True))
            yield replace(work, edited=edited, presence=seen)

    return edit
