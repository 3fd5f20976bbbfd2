"""Identity over time: against the first face and the medoid, by a float64 reference that sees everything at once."""

from __future__ import annotations

import numpy as np

from vidinv.frames import Array, Evidence, FaceMetrics, PictureValues
from vidinv.report import identity
from vidinv.report.face_rows import FaceRow

PICTURES = ("source", "inversion", "edit")
RNG = np.random.default_rng(3)


def unit(*shape: int) -> Array:
    found = RNG.normal(size=shape) + 1
    return (found / np.linalg.norm(found, axis=-1, keepdims=True)).astype(np.float32)


def faces(track: int, frames: list[int], known: Array) -> list[Evidence]:
    return [Evidence(f, track, PICTURES, {"arcface": rows}) for f, rows in zip(frames, known, strict=True)]


def test_every_face_is_compared_with_its_tracks_first_and_medoid() -> None:
    frames, known = [3, 4, 6, 9, 11], unit(5, 3, 16)
    rows = [FaceRow(frame, 1, FaceMetrics()) for frame in frames]
    found, medoids = identity.compare_over_time(rows, lambda: faces(1, frames, known))
    exact = known.astype(np.float64)
    alike = exact[:, 0] @ exact[:, 0].T
    medoid = int(alike.sum(0).argmax())
    assert medoids == {1: frames[medoid]}
    for k, row in enumerate(found):
        over_time = row.over_time["arcface"]
        for p, picture in enumerate(PICTURES):
            assert abs(getattr(over_time.medoid, picture) - exact[k, p] @ exact[medoid, 0]) < 1e-6
            if k:
                assert abs(getattr(over_time.ic, picture) - exact[k, p] @ exact[0, p]) < 1e-6
    assert found[0].over_time["arcface"].ic == PictureValues()


def test_tracks_do_not_mix_and_a_frozen_video_counts_in_full() -> None:
    still = np.repeat(unit(1, 3, 8), 4, 0)
    evidence = faces(0, [0, 1, 2, 3], still) + faces(5, [1, 2, 3, 4], unit(4, 3, 8))
    rows = [FaceRow(each.frame, each.track, FaceMetrics()) for each in evidence]
    found, _ = identity.compare_over_time(rows, lambda: sorted(evidence, key=lambda each: each.frame))
    first, *later = [row.over_time["arcface"].ic.edit for row in found if row.track == 0]
    assert first is None and [f"{value:.4f}" for value in later] == ["1.0000", "1.0000", "1.0000"]


def test_what_was_not_measured_is_left_as_it_was() -> None:
    rows = [FaceRow(0, 0, FaceMetrics(skin_cover=1.0)), FaceRow(1, 0, FaceMetrics(skin_cover=0.5))]
    found, _ = identity.compare_over_time(rows, lambda: faces(0, [0], unit(1, 3, 8)))
    assert found[1] == rows[1]
