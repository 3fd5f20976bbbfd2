"""Writing a picture: its pixels, and what cannot be written."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
import torch

from vidinv.errors import OutputUnwritable
from vidinv.media import picture


def test_a_picture_keeps_its_channels_and_its_ends(tmp_path: Path) -> None:
    image = torch.full((3, 4, 6), -1.0)
    image[0], image[1, :2] = 1.0, 5.0  # red everywhere, green above; what is out of range is cut
    picture.write_picture(tmp_path / "p.png", image)
    blue, green, red = cv2.split(cv2.imread(str(tmp_path / "p.png")))
    assert red.min() == 255 and blue.max() == 0 and green[:2].min() == 255 and green[2:].max() == 0


@pytest.mark.parametrize("name", ["none/p.png", "p.nothing"])
def test_what_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputUnwritable, match=name):
        picture.write_picture(tmp_path / name, torch.zeros(3, 2, 2))
    assert not list(tmp_path.iterdir())
