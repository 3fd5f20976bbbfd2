"""Where a shot begins: cuts of every kind are found on their frame, and what only moves or flashes is no cut."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from vidinv.analysis import shot_detection
from vidinv.config import RunConfig
from vidinv.frames import Array, Planes


def scene(seed: int) -> Array:
    """A wide picture of soft shapes, [120, 640, 3] uint8."""
    noise = np.random.default_rng(seed).random((120, 640, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 6)
    return np.asarray(255 * np.clip((soft - 0.5) * 6 + 0.5, 0, 1)).astype(np.uint8)


def shown(seed: int, count: int, step: float = 1.0, first: float = 0.0) -> list[Array]:
    """`count` frames of a camera that turns `step` pixels a frame over a scene."""
    wide = scene(seed)
    return [wide[:, round(first + step * k) :][:, :160].copy() for k in range(count)]


def planes(rgb: Array) -> Planes:
    return Planes(tuple(rgb[..., k].copy() for k in (1, 2, 0)), "gbrp", 0, 0, 8)


def found(frames: Sequence[Array]) -> list[int]:
    watch = shot_detection.ChangeMeter()
    return shot_detection.shot_starts(
        np.array([watch.look(planes(frame)) for frame in frames]), RunConfig.cut_threshold
    )


def test_a_hard_cut_is_found_on_its_frame() -> None:
    assert found(shown(1, 15) + shown(2, 9) + shown(3, 15)) == [0, 15, 24]


def test_shots_of_two_frames_are_shots() -> None:
    assert found(shown(1, 15) + shown(2, 2) + shown(3, 15)) == [0, 15, 17]


def test_a_leap_in_one_scene_is_a_cut_and_a_fast_camera_is_none() -> None:
    assert found(shown(1, 15) + shown(1, 15, first=70)) == [0, 15]
    assert found(shown(1, 30, step=12)) == [0]


@pytest.mark.parametrize("length", [8, 10])
def test_a_dissolve_is_one_cut_inside_it(length: int) -> None:
    before, after = shown(1, 20 + length), shown(2, 20 + length)
    mixed = [
        cv2.addWeighted(a, 1 - share, b, share, 0)
        for a, b, share in zip(before[20:], after[:length], np.linspace(0, 1, length + 2)[1:-1].tolist(), strict=True)
    ]
    zero, cut = found(before[:20] + mixed + after[length:])
    assert zero == 0 and 20 <= cut < 20 + length


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_flash_is_no_cut(length: int) -> None:
    frames = shown(1, 30)
    for k in range(12, 12 + length):
        frames[k] = cv2.addWeighted(frames[k], 0.2, np.full_like(frames[k], 255), 0.8, 0)
    assert found(frames) == [0]


def test_light_that_goes_up_slowly_and_noise_are_no_cuts() -> None:
    frames = [cv2.convertScaleAbs(frame, alpha=0.4 + 0.04 * k) for k, frame in enumerate(shown(1, 15))]
    assert found(frames + [cv2.convertScaleAbs(frame, alpha=1.0) for frame in shown(1, 15, first=15)]) == [0]
    noise = np.random.default_rng(0).integers(0, 255, (20, 90, 160, 3), np.uint8)
    assert found(list(noise)) == [0]


def test_what_is_said_of_a_frame_depends_on_the_frames_just_before_alone() -> None:
    frames = shown(1, 12) + shown(2, 12)
    whole, part = shot_detection.ChangeMeter(), shot_detection.ChangeMeter()
    expected = [whole.look(planes(frame)) for frame in frames]
    assert [part.look(planes(frame)) for frame in frames[6:]][shot_detection.LAG :] == expected[
        6 + shot_detection.LAG :
    ]


@pytest.mark.parametrize("size", [(2, 2), (4, 600), (600, 4)])
def test_any_size_is_looked_at(size: tuple[int, int]) -> None:
    frames = [np.full((*size, 3), 20, np.uint8)] * 8 + [np.full((*size, 3), 230, np.uint8)] * 8
    assert found(frames) == [0, 8]
