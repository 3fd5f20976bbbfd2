"""Edit: shift the latent code of every face along its directions, and its feature code by F + G^K(w~) - G^K(w).

This is Eq. 1 of the Feature-Style encoder paper.
"""

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

PARSED = 256  # pixels: side of the label maps by which an edit of a part is limited to the part's cells of F


def build_edit_stage(generator: Generator, parse: Parse, edits: Sequence[ResolvedEdit], analysis: Analysis) -> Stage:
    """A stage that adds `layers` to each Work with codes: the edited codes, with each edit's strength at its time."""

    def edit(works: Iterator[Work]) -> Iterator[Work]:
        for work in works:
            if work.codes is None or work.faces is None:
                yield work
                continue
            seconds = [analysis.second(work.frames.pts[position]) for position in work.faces.frame.tolist()]
            when = list(zip(seconds, work.faces.track.tolist(), strict=True))
            yield replace(work, layers=layers(generator, parse, work.faces.image, work.codes, edits, when))

    return edit


@torch.no_grad()
def layers(
    generator: Generator,
    parse: Parse,
    images: Tensor,
    code: Code,
    edits: Sequence[ResolvedEdit],
    when: Sequence[tuple[float, int]],
) -> tuple[EditLayer, ...]:
    """The layers of N faces [N,3,S,S] in [-1,1] and their codes, one layer per edited region.

    `when` gives each face's (time in seconds, track). Edits whose strength is always 0 make no layer. The whole face
    comes first, then the head, then its parts; an edit of a part changes F only in the cells of that part.
    """
    seconds, persons = zip(*when, strict=True)
    found, edits = [], [edit for edit in edits if not edit.is_still]
    labels: Array | None = None
    for name in sorted({plan.region(edit) for edit in edits}, key=regions.order):
        mine = [edit for edit in edits if plan.region(edit) == name]
        offset = plan.offsets(mine, seconds, persons, code.ws.shape[1])
        styles = plan.style_offsets(mine, seconds, persons)
        where = None
        shifts_feature = code.feature is not None and (
            bool(offset.any()) or (styles is not None and bool(styles.any()))
        )
        if shifts_feature and regions.is_local(name):
            labels = parse(images, PARSED) if labels is None else labels
            assert code.feature is not None
            where = _region_cells(labels, name, code.feature.shape[-1])
        code = feature_edit.shift(generator, code, offset, where, styles)
        found.append(EditLayer(name, code, tuple(plan.presence(mine, *each) for each in when)))
    return tuple(found)


def _region_cells(labels: Array, name: str, side: int) -> Tensor:
    """The share [N,1,side,side] of each cell of F that is inside region `name` of the label maps [N,s,s]."""
    found = np.stack([regions.inside(each, name) for each in labels])
    return functional.adaptive_avg_pool2d(torch.from_numpy(found).float()[:, None], side)
