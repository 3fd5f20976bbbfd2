"""Photos as training data: drawn by seed, and bad files do not stop a training."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vidinv.errors import InputUnreadable
from vidinv.trainers.data.photos import open_photos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "more").mkdir()
    for n, name in enumerate(["a.png", "b.jpg", "more/c.png"]):
        picture = np.full((64, 64, 3), 40 * n, np.uint8)
        picture[:, :32] += 20  # not the same mirrored
        cv2.imwrite(str(tmp_path / name), picture)
    return tmp_path


def test_a_draw_depends_on_its_seed_alone(folder: Path) -> None:
    photos = open_photos(folder, 32)
    first = photos.draw(6, seed=1)
    assert first.shape == (6, 3, 32, 32) and len(photos.files) == 3
    assert torch.equal(first, open_photos(folder, 32).draw(6, seed=1))
    assert not torch.equal(first, photos.draw(6, seed=2))
    mirrored = [bool(image[0, 0, 0] < image[0, 0, -1]) for image in photos.draw(40, seed=3)]
    assert 5 < sum(mirrored) < 35


def test_bad_files_are_named_once_counted_and_passed_over(folder: Path) -> None:
    (folder / "text.jpg").write_text("not a picture")
    cv2.imwrite(str(folder / "wide.png"), np.zeros((32, 64, 3), np.uint8))
    photos = open_photos(folder, 32)
    with pytest.warns(UserWarning, match="is skipped") as said:
        photos.draw(60, seed=1)
    assert {path.name for path in photos.bad} == {"text.jpg", "wide.png"}
    lines = sorted(str(entry.message) for entry in said)
    assert len(lines) == 2 and "of 5 so far" in lines[0] and "text.jpg" in lines[0] and "64x32" in lines[1]


def test_a_folder_without_a_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputUnreadable, match="no picture"):
        open_photos(tmp_path, 32)
    with pytest.raises(InputUnreadable, match="not a folder"):
        open_photos(tmp_path / "none", 32)
    (tmp_path / "a.png").write_text("no")
    with pytest.warns(UserWarning), pytest.raises(InputUnreadable, match="none of the 1"):
        open_photos(tmp_path, 32).draw(1, seed=0)
