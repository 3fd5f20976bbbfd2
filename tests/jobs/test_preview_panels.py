"""The preview shows the frame as it is written, at the face's own size, and what changed; each panel has its name."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch

from vidinv.frames import Colour, FaceBatch, FrameBatch, Planes, Track, Work
from vidinv.jobs import preview_panels
from vidinv.media.image_grid import LABEL

SIDE = 64
FULL = Colour("bt709", True)


def planes(rgb: np.ndarray) -> Planes:
    return Planes(tuple(np.ascontiguousarray(rgb[..., k]) for k in (1, 2, 0)), "gbrp", 0, 0, 8)


def work_of(before: np.ndarray, after: np.ndarray | None) -> Work:
    """One face that fills the frame's middle, at one crop pixel per frame pixel."""
    to_frame = torch.tensor([[[1.0, 0.0, 16.0], [0.0, 1.0, 16.0]]])
    faces = FaceBatch(torch.zeros(1, 3, SIDE, SIDE), torch.zeros(1, dtype=torch.long), torch.zeros(1), to_frame)
    frames = FrameBatch((planes(before),), FULL, (0,), Fraction(1, 25), (0,))
    work = Work(frames, new_shot=True, faces=faces, inversion=torch.full((1, 3, SIDE, SIDE), 0.5))
    return work if after is None else replace(work, output=(planes(after),))


BEFORE = np.random.default_rng(0).integers(60, 180, (96, 96, 3)).astype(np.uint8)


def test_the_second_panel_is_the_frame_as_it_is_written_and_the_third_what_changed() -> None:
    after = BEFORE.copy()
    after[40:56, 40:56, 0] += 20
    drawn = preview_panels.draw_panels(work_of(BEFORE, after), 0, SIDE, edited=True)
    assert drawn.shape == (SIDE + LABEL, 3 * SIDE, 3)
    source, made, change = np.split(drawn[LABEL:].astype(int), 3, axis=1)
    assert np.abs(source - BEFORE[16:80, 16:80]).max() <= 1 and np.abs(made - after[16:80, 16:80]).max() <= 1
    assert np.abs(change[26:38, 26:38, 0] - preview_panels.GAIN * 20).max() <= preview_panels.GAIN + 1
    assert change[:20].max() <= 1 and change[..., 1].max() <= 1


def test_without_an_edit_the_inversion_is_shown() -> None:
    drawn = preview_panels.draw_panels(work_of(BEFORE, None), 0, SIDE, edited=False)
    made = drawn[LABEL:, SIDE : 2 * SIDE]
    assert np.abs(made.astype(int) - 191).max() <= 1  # 0.5 in [-1, 1]


def test_every_panel_has_a_label_and_other_kinds_other_labels() -> None:
    labels = [
        preview_panels.draw_panels(work_of(BEFORE, None), 0, SIDE, edited=edited)[:LABEL] for edited in (True, False)
    ]
    for strip in labels:
        assert all(part.min() < 100 for part in np.split(strip, 3, axis=1))
    assert not np.array_equal(*labels)


def test_a_frame_without_the_face_is_black_below_its_labels() -> None:
    work = replace(work_of(BEFORE, None), faces=None)
    assert preview_panels.draw_panels(work, 0, SIDE, edited=True)[LABEL:].max() == 0


def test_panels_have_the_size_of_the_face_within_limits() -> None:
    def person(scale: float) -> Track:
        to_frame = np.array([[[scale, 0, 0], [0, scale, 0]]] * 3, np.float32)
        return Track(
            id=0, frames=np.arange(3), to_frame=to_frame, landmarks=np.zeros((3, 5, 2)), crop=512, embedding=np.ones(2)
        )

    assert preview_panels.panel_side([person(0.5)], 0) == 256
    assert preview_panels.panel_side([person(0.05)], 0) == preview_panels.SMALLEST
    assert preview_panels.panel_side([person(4.0)], 0) == preview_panels.LARGEST
    assert preview_panels.panel_side([person(4.0)], 301) == 300 and preview_panels.panel_side([], 0) == 256
