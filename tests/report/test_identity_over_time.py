"""Identity over time: against the first face and the medoid, by a float64 reference that sees everything at once."""

from __future__ import annotations

import numpy as np

from vidinv.frames import Array, Evidence
from vidinv.report import identity

PICTURES = ("source", "inversion", "edit")
RNG = np.random.default_rng(3)


def unit(*shape: int) -> Array:
    found = RNG.normal(size=shape) + 1
    return (found / np.linalg.norm(found, axis=-1, keepdims=True)).astype(np.float32)


def faces(track: int, frames: list[int], known: Array) -> list[Evidence]:
    return [Evidence(f, track, PICTURES, {"arcface": rows}) for f, rows in zip(frames, known, strict=True)]


def test_every_face_is_compared_with_its_tracks_first_and_medoid() -> None:
    frames, known = [3, 4, 6, 9, 11], unit(5, 3, 16)
    rows = [{"frame": frame, "track": 1} for frame in frames]
    found, medoids = identity.compared(rows, lambda: faces(1, frames, known))
    exact = known.astype(np.float64)
    alike = exact[:, 0] @ exact[:, 0].T
    medoid = int(alike.sum(0).argmax())
    assert medoids == {1: frames[medoid]}
    for k, row in enumerate(found):
        for p, picture in enumerate(PICTURES):
            assert abs(row[f"arcface_medoid_{picture}"] - exact[k, p] @ exact[medoid, 0]) < 1e-6
            if k:
                assert abs(row[f"arcface_ic_{picture}"] - exact[k, p] @ exact[0, p]) < 1e-6
    assert not any(key.startswith("arcface_ic") for key in found[0])


def test_tracks_do_not_mix_and_a_frozen_video_counts_in_full() -> None:
    still = np.repeat(unit(1, 3, 8), 4, 0)
    evidence = faces(0, [0, 1, 2, 3], still) + faces(5, [1, 2, 3, 4], unit(4, 3, 8))
    rows = [{"frame": each.frame, "track": each.track} for each in evidence]
    found, _ = identity.compared(rows, lambda: sorted(evidence, key=lambda each: each.frame))
    mine = [row for row in found if row["track"] == 0]
    assert [f"{row.get('arcface_ic_edit', -1):.4f}" for row in mine] == ["-1.0000", "1.0000", "1.0000", "1.0000"]


def test_what_was_not_measured_is_left_as_it_was() -> None:
    rows = [{"frame": 0, "track": 0, "cover": 1.0}, {"frame": 1, "track": 0, "cover": 0.5}]
    found, _ = identity.compared(rows, lambda: faces(0, [0], unit(1, 3, 8)))
    assert found[1] == rows[1]
