"""Fade: confidence goes and comes over its time, the same however the clip is cut into batches and segments."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
import torch

from vidinv.faces import edit_confidence
from vidinv.frames import Analysis, Array, Colour, FaceBatch, FaceMetrics, FrameBatch, Planes, Shot, Track, Work
from vidinv.stages import fade_confidence

FRAMES, OVER = 40, 0.2
BASE = Fraction(1, 25)
RNG = np.random.default_rng(2)
VALUES = np.where(RNG.random(FRAMES) < 0.12, RNG.random(FRAMES) * 0.4, 1.0)


def analysis(cut: int = FRAMES, limit: Array | None = None) -> Analysis:
    shots = (Shot(0, cut), Shot(cut, FRAMES)) if cut < FRAMES else (Shot(0, FRAMES),)
    frames = np.arange(FRAMES)
    still = np.repeat(np.eye(2, 3)[None], FRAMES, 0)
    person = Track(3, frames, still, np.zeros((FRAMES, 106, 2)), np.ones(1), trust=limit)
    return Analysis(FRAMES, tuple(range(FRAMES)), BASE, shots, (person,))


def works(spans: Sequence[tuple[int, int]], cut: int = FRAMES) -> list[Work]:
    plane = Planes((np.zeros((2, 2), np.uint8),), "gray", 0, 0, 8)
    made = []
    for first, stop in spans:
        count = stop - first
        faces = FaceBatch(
            torch.zeros(count, 3, 2, 2), torch.arange(count), torch.full((count,), 3), torch.zeros(count, 2, 3)
        )
        index = tuple(range(first, stop))
        frames = FrameBatch((plane,) * count, Colour("bt709", False), index, BASE, index)
        metrics = tuple(FaceMetrics(skin_cover=0.5, confidence=float(VALUES[k])) for k in index)
        made.append(Work(frames, faces, metrics=metrics, new_shot=first in (0, cut)))
    return made


def metrics_of(made: Sequence[Work]) -> list[FaceMetrics]:
    return [metrics for work in made for metrics in work.metrics if metrics is not None]


def confidences(made: Sequence[Work]) -> list[float | None]:
    return [metrics.faded_confidence for metrics in metrics_of(made)]


@pytest.mark.parametrize("size", [1, 3, 6, 40])
def test_it_is_the_whole_clips_curve_whatever_the_batches(size: int) -> None:
    spans = [(k, min(k + size, FRAMES)) for k in range(0, FRAMES, size)]
    done = list(fade_confidence.build_fade_stage(analysis(), OVER)(iter(works(spans))))
    expected = edit_confidence.fade_over_time(np.arange(FRAMES) / 25, VALUES, OVER)
    assert np.allclose(np.array(confidences(done), float), expected) and (expected < VALUES).any()
    assert [metrics.confidence for metrics in metrics_of(done)] == VALUES.tolist()  # the mask's judgement stays
    assert np.allclose([metrics.shown_cover for metrics in metrics_of(done)], 0.5 * expected)
    assert [index for work in done for index in work.frames.index] == list(range(FRAMES))


def test_nothing_fades_across_a_cut() -> None:
    cut = 18
    spans = [(k, min(k + 6, cut if k < cut else FRAMES)) for k in (*range(0, cut, 6), *range(cut, FRAMES, 6))]
    done = confidences(list(fade_confidence.build_fade_stage(analysis(cut), OVER)(iter(works(spans, cut)))))
    halves = [
        edit_confidence.fade_over_time(np.arange(len(part)) / 25, part, OVER) for part in (VALUES[:cut], VALUES[cut:])
    ]
    assert np.allclose(np.array(done, float), np.concatenate(halves))


def test_a_job_that_goes_on_fades_as_one_that_was_never_stopped() -> None:
    resume = 20
    past = [(3, k / 25, float(VALUES[k])) for k in range(resume)]
    spans = [(k, min(k + 6, FRAMES)) for k in range(resume, FRAMES, 6)]
    done = confidences(list(fade_confidence.build_fade_stage(analysis(), OVER, past)(iter(works(spans)))))
    expected = edit_confidence.fade_over_time(np.arange(FRAMES) / 25, VALUES, OVER)[resume:]
    assert np.allclose(np.array(done, float), expected)


def test_a_face_is_trusted_no_more_than_the_analysis_says() -> None:
    limit = np.linspace(1, 0, FRAMES)
    done = list(fade_confidence.build_fade_stage(analysis(limit=limit), OVER)(iter(works([(0, FRAMES)]))))
    assert (np.array(confidences(done), float) <= limit + 1e-9).all()
    assert metrics_of(done)[-1].trust == 0
