"""Frame spans: join single frames on which a condition holds into spans."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """The frames first <= i <= last of a clip; `frames` of them meet the condition, `worst` is their lowest value."""

    first: int
    last: int
    frames: int
    worst: float


def join_frames(found: Iterable[tuple[int, float]], *, gap: int) -> list[Span]:
    """Join (frame, value) pairs in order of frame into spans; frames at most `gap` apart belong to one span."""
    spans: list[Span] = []
    for frame, value in found:
        if spans and frame - spans[-1].last <= gap:
            before = spans[-1]
            spans[-1] = Span(before.first, frame, before.frames + 1, min(before.worst, value))
        else:
            spans.append(Span(frame, frame, 1, value))
    return spans


def usual_step(frames: Sequence[int]) -> int:
    """The median step between consecutive measured `frames`, which are ascending; 1 for fewer than two."""
    steps = sorted(b - a for a, b in itertools.pairwise(frames))
    return steps[len(steps) // 2] if steps else 1
