"""Decode: group the source's decoded frames into Works, the batches that no segment border and no cut divides."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction

from vidinv.errors import InputUnreadable
from vidinv.frames import FrameBatch, Shot, Work

Segment = tuple[int, int]  # frames, first <= i < end


def segments(
    pts: tuple[int, ...], time_base: Fraction, seconds: float, start: int, stop: int, cuts: Collection[int] = ()
) -> list[tuple[int, int]]:
    """Split the frames start <= i < stop into segments of at least `seconds`, by their pts: [(first, end), ...].

    A segment may end after half of that at one of the `cuts` (first frames of shots): no state crosses a cut, so a
    segment that begins there can be rendered independently, also on another machine. The last segment may be shorter.
    The segments depend on the clip alone, so a resumed job computes the same ones.
    """
    found: list[tuple[int, int]] = []
    first = start
    for index in range(start, stop):
        enough = seconds / 2 if index in cuts else seconds
        if index > first and (pts[index] - pts[first]) * time_base >= enough:
            found.append((first, index))
            first = index
    if stop > first:
        found.append((first, stop))
    return found


def batches(parts: Iterable[tuple[int, int]], shots: Iterable[Shot], size: int) -> list[tuple[int, int]]:
    """Frame ranges [(first, end), ...] of at most `size` frames, each inside one segment of `parts` and one shot."""
    starts = {shot.start for shot in shots}
    found: list[tuple[int, int]] = []
    for first, end in parts:
        begin = first
        for index in range(first + 1, end + 1):
            if index == end or index in starts or index - begin == size:
                found.append((begin, index))
                begin = index
    return found


def decode(
    frames: Iterable[FrameBatch], plan: list[tuple[int, int]], shots: tuple[Shot, ...], parts: list[tuple[int, int]]
) -> Iterator[Work]:
    """Regroup decoded `frames` into one Work per range of `plan`, as `batches` returns them.

    Each Work holds `frames`, `new_shot` and `segment`. Frames before and after the plan are dropped. `parts` are the
    segments that the plan was made from. Raises InputUnreadable where the video ends before the plan does.
    """
    starts, segment_of = {shot.start for shot in shots}, [first for first, _ in parts]
    pending = iter(plan)
    current = next(pending, None)
    group: list[FrameBatch] = []
    for single in _singles(frames):
        if current is None:
            return
        if single.index[0] < current[0]:
            continue
        group.append(single)
        if single.index[0] == current[1] - 1:
            segment = segment_of[bisect_right(segment_of, current[0]) - 1]
            yield Work(frames=_join(group), new_shot=current[0] in starts, segment=segment)
            group, current = [], next(pending, None)
    if current is not None:
        raise InputUnreadable(
            f"the video ended before frame {current[1] - 1}, which the analysis had read",
            remedy="restore the original file and run the same command again",
        )


def _singles(frames: Iterable[FrameBatch]) -> Iterator[FrameBatch]:
    for batch in frames:
        for i in range(len(batch)):
            at = slice(i, i + 1)
            gaps = tuple(gap for gap in batch.gaps if gap[0] == batch.index[i])
            yield replace(batch, native=batch.native[at], pts=batch.pts[at], index=batch.index[at], gaps=gaps)


def _join(group: list[FrameBatch]) -> FrameBatch:
    return replace(
        group[0],
        native=tuple(frame.native[0] for frame in group),
        pts=tuple(frame.pts[0] for frame in group),
        index=tuple(frame.index[0] for frame in group),
        gaps=tuple(gap for frame in group for gap in frame.gaps),
    )
