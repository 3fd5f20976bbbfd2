"""Spans of time in which something holds, of what holds on single frames."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """Frames first <= i <= last of a clip, of which `frames` were found, and the lowest of their values."""

    first: int
    last: int
    frames: int
    worst: float


def join(found: Iterable[tuple[int, float]], *, gap: int) -> list[Span]:
    """(frame, value) in order of frame, as spans: frames at most `gap` apart are of one span."""
    spans: list[Span] = []
    for frame, value in found:
        if spans and frame - spans[-1].last <= gap:
            before = spans[-1]
            spans[-1] = Span(before.first, frame, before.frames + 1, min(before.worst, value))
        else:
            spans.append(Span(frame, frame, 1, value))
    return spans


def apart(frames: Sequence[int]) -> int:
    """How far the measured `frames`, ascending, lie apart at most where they follow one another: their usual step."""
    steps = sorted(b - a for a, b in itertools.pairwise(frames))
    return steps[len(steps) // 2] if steps else 1
