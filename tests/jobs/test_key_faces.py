"""Key frames are sharp, diverse in pose and spread in time; what judges them is none of them."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from vidinv.jobs.tuning import key_faces
from vidinv.jobs.tuning.key_faces import Candidate, choose

STILL = [Candidate(frame, 0, frame / 25, 100.0, 0.0, 0.0) for frame in range(100)]


def test_a_still_face_is_taken_evenly_in_time() -> None:
    keys, held = choose(STILL, 9, 8)
    frames = [face.frame for face in keys]
    assert len(keys) == 9 and frames[0] == 0 and frames[-1] == 99 and max(np.diff(frames)) <= 26
    assert [face.frame for face in held] == [6, 18, 31, 43, 56, 68, 81, 93]


def test_what_judges_is_never_learned_from() -> None:
    for count in (1, 8, 50, 100):
        keys, held = choose(STILL, count, 12)
        assert not {face.key for face in keys} & {face.key for face in held}
        assert len(held) == 12 and len(keys) == min(count, 88)


def test_a_rare_pose_is_among_the_key_faces() -> None:
    turned = [replace(face, yaw=30.0) if face.frame in (40, 41) else face for face in STILL]
    nodding = [replace(face, pitch=-20.0) if face.frame == 71 else face for face in turned]
    keys, _ = choose(nodding, 4, 0)
    assert {face.yaw for face in keys} == {0.0, 30.0} and {face.pitch for face in keys} == {0.0, -20.0}


def test_a_blurred_face_is_none_and_of_two_alike_the_sharper_is() -> None:
    blurred = [replace(face, sharpness=20.0) if 30 <= face.frame < 60 else face for face in STILL]
    keys, _ = choose(blurred, 40, 0)
    assert not [face for face in keys if 30 <= face.frame < 60]
    softer = [replace(face, sharpness=60.0 if face.frame % 2 else 100.0) for face in STILL]
    keys, _ = choose(softer, 20, 0)
    assert sum(face.frame % 2 for face in keys) < 5


def test_every_track_has_its_share() -> None:
    second = [Candidate(frame, 3, frame / 25, 50.0, 5.0, 0.0) for frame in range(20, 45)]
    keys, held = choose([*STILL, *second], 25, 10)
    assert sum(face.track == 3 for face in keys) == 5 and sum(face.track == 3 for face in held) == 2
    assert [face.key for face in keys] == sorted(face.key for face in keys)
    lonely = Candidate(7, 5, 0.3, 1.0, 0.0, 0.0)
    keys, held = choose([*STILL, lonely], 4, 4)
    assert lonely in keys and lonely not in held


def test_too_few_faces_are_all_learned_from() -> None:
    keys, held = choose(STILL[:7], 96, 8)
    assert len(keys) == 7 and held == []
    assert choose([], 8, 8) == ([], [])


def test_a_blurred_picture_is_less_sharp() -> None:
    noise = np.random.default_rng(0).random((64, 64, 3), np.float32)
    assert key_faces.sharpness(cv2.GaussianBlur(noise, (0, 0), 2)) < 0.05 * key_faces.sharpness(noise)
    assert key_faces.sharpness(np.full((64, 64, 3), 0.5)) == 0
