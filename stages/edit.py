"""Edit: Eq. 1 of the Feature-Style encoder paper, F~ = F + G^K(w~) - G^K(w), on every face of a Work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from stages.graph import Stage
from vidinv.frames import Code, Work


def build(move: Callable[[Code], Code]) -> Stage:
    """A stage that adds `edited`, the code of the edited face, where a Work has `codes`."""

    def edit(works: Iterator[Work]) -> Iterator[Work]:
        for work in works:
            if work.codes is None:
                yield work
                continue
            with torch.no_grad():
                yield replace(work, edited=move(work.codes))

    return edit
