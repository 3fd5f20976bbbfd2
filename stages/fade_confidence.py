"""Fade: an inversion that is poor for a moment lets the edit go before it and come back after, and not spring."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from vidinv.stages.graph import Stage

from vidinv.faces import edit_confidence
from vidinv.frames import Analysis, Work

Past = tuple[int, float, float]  # track, second, trust


def build_fade_stage(analysis: Analysis, over: float, past: Iterable[Past] = ()) -> Stage:
    """A stage that adds `trust` to every face, and fades its `confidence` and `cover` by it in time.

    Trust is the confidence of the inversion, and no more than the analysis lets the face have; between 0 and 1 the
    edit takes `over` seconds, inside a shot. Works are held back until all that can bear on them is known; `past` is
    what a job that goes on had measured before.
    """
    limits = {
        (track.id, int(frame)): float(limit)
        for track in analysis.tracks
        if track.trust is not None
        for frame, limit in zip(track.frames, track.trust, strict=True)
    }

    def fade(works: Iterator[Work]) -> Iterator[Work]:
        known = list(past)
        held: deque[Work] = deque()
        for work in works:
            if work.new_shot:
                while held:
                    yield _faded(held.popleft(), known, analysis, over)
                known = []
            held.append(_trusted(work, limits))
            known += _known(held[-1], analysis)
            while _second(held[0], -1, analysis) + over < _second(work, -1, analysis):
                yield _faded(held.popleft(), known, analysis, over)
                begin = _second(held[0], 0, analysis) - over
                known = [each for each in known if each[1] >= begin]
        while held:
            yield _faded(held.popleft(), known, analysis, over)

    return fade


def _second(work: Work, position: int, analysis: Analysis) -> float:
    return analysis.second(work.frames.pts[position])


def _trusted(work: Work, limits: dict[tuple[int, int], float]) -> Work:
    measures = [dict(row) for row in work.measures]
    for n, row in enumerate(measures):
        if row and work.faces is not None:
            frame = work.frames.index[int(work.faces.frame[n])]
            row["trust"] = min(row["confidence"], limits.get((int(work.faces.track[n]), frame), 1.0))
    return replace(work, measures=tuple(measures))


def _known(work: Work, analysis: Analysis) -> list[Past]:
    if work.faces is None:
        return []
    faces = zip(work.faces.track.tolist(), work.faces.frame.tolist(), work.measures, strict=False)
    return [(track, _second(work, position, analysis), row["trust"]) for track, position, row in faces if row]


def _faded(work: Work, known: list[Past], analysis: Analysis, over: float) -> Work:
    measures = [dict(row) for row in work.measures]
    curves: dict[int, dict[float, float]] = {}
    for track in {track for track, _, _ in _known(work, analysis)}:
        seconds, values = np.array(sorted({(second, value) for other, second, value in known if other == track})).T
        curves[track] = dict(zip(seconds.tolist(), edit_confidence.faded(seconds, values, over).tolist(), strict=True))
    for n, row in enumerate(measures):
        if row and work.faces is not None:
            second = _second(work, int(work.faces.frame[n]), analysis)
            row["confidence"] = curves[int(work.faces.track[n])][second]
            row["cover"] *= row["confidence"]
    return replace(work, measures=tuple(measures))
