"""Fade: fade the edit out before frames with low inversion confidence, and in again after them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from vidinv.faces import edit_confidence
from vidinv.frames import Analysis, Work
from vidinv.stages.graph import Stage

Past = tuple[int, float, float]  # track, time in seconds, trust


def build_fade_stage(analysis: Analysis, over: float, past: Iterable[Past] = ()) -> Stage:
    """A stage that adds `trust` and `faded_confidence` to the metrics of every face.

    `trust` is the confidence of the inversion, limited by the track's own trust from the analysis. `faded_confidence`
    is the largest curve below it that takes `over` seconds from 0 to 1; no fade crosses a cut. The stage holds Works
    back until it knows every frame that can affect them. `past` is the trust of the frames before the first Work, which
    a resumed job reads from its journal.
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
                    yield _with_faded_confidence(held.popleft(), known, analysis, over)
                known = []
            held.append(_with_trust(work, limits))
            known += _trust_over_time(held[-1], analysis)
            while _second(held[0], -1, analysis) + over < _second(work, -1, analysis):
                yield _with_faded_confidence(held.popleft(), known, analysis, over)
                begin = _second(held[0], 0, analysis) - over
                known = [each for each in known if each[1] >= begin]
        while held:
            yield _with_faded_confidence(held.popleft(), known, analysis, over)

    return fade


def _second(work: Work, position: int, analysis: Analysis) -> float:
    return analysis.second(work.frames.pts[position])


def _with_trust(work: Work, limits: dict[tuple[int, int], float]) -> Work:
    metrics = list(work.metrics)
    for n, known in enumerate(metrics):
        if known is not None and known.confidence is not None and work.faces is not None:
            frame = work.frames.index[int(work.faces.frame[n])]
            limit = limits.get((int(work.faces.track[n]), frame), 1.0)
            metrics[n] = replace(known, trust=min(known.confidence, limit))
    return replace(work, metrics=tuple(metrics))


def _trust_over_time(work: Work, analysis: Analysis) -> list[Past]:
    if work.faces is None:
        return []
    faces = zip(work.faces.track.tolist(), work.faces.frame.tolist(), work.metrics, strict=False)
    return [
        (track, _second(work, position, analysis), metrics.trust)
        for track, position, metrics in faces
        if metrics is not None and metrics.trust is not None
    ]


def _with_faded_confidence(work: Work, known: list[Past], analysis: Analysis, over: float) -> Work:
    metrics = list(work.metrics)
    curves: dict[int, dict[float, float]] = {}
    for track in {track for track, _, _ in _trust_over_time(work, analysis)}:
        seconds, values = np.array(sorted({(second, value) for other, second, value in known if other == track})).T
        curves[track] = dict(
            zip(seconds.tolist(), edit_confidence.fade_over_time(seconds, values, over).tolist(), strict=True)
        )
    for n, each in enumerate(metrics):
        if each is not None and each.trust is not None and work.faces is not None:
            second = _second(work, int(work.faces.frame[n]), analysis)
            metrics[n] = replace(each, faded_confidence=curves[int(work.faces.track[n])][second])
    return replace(work, metrics=tuple(metrics))
