"""Boxes from a file: which frame they are of, and where they lie in a picture that is turned when it is shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vidinv.analysis import given_boxes
from vidinv.backends import non_face


def written(path: Path, text: str) -> given_boxes.Boxes:
    path.write_text(text)
    return given_boxes.read_boxes(path)


def test_one_box_is_for_every_frame_and_others_for_theirs(tmp_path: Path) -> None:
    always = written(tmp_path / "one.csv", "x0,y0,x1,y1\n1,2,30,40.5\n")
    assert always.at(0, (50, 60), 0).tolist() == always.at(99, (50, 60), 0).tolist() == [[1, 2, 30, 40.5]]
    each = written(tmp_path / "each.csv", "id, frame, x0, y0, x1, y1\na, 3, 1, 2, 3, 4\nb, 3, 5, 6, 7, 8\n")
    assert each.at(3, (50, 60), 0).tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert each.at(2, (50, 60), 0).shape == (0, 4)
    found = each.named(3, non_face.boxes_as_faces(each.at(3, (50, 60), 0), 0))
    assert (found.embeddings @ found.embeddings.T).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_box_is_of_the_picture_as_it_is_shown(tmp_path: Path, rotation: int) -> None:
    given = written(tmp_path / "one.csv", "x0,y0,x1,y1\n10,4,30,12\n")
    shown = np.zeros((40, 60), bool)
    shown[4:12, 10:30] = True
    coded = np.rot90(shown, rotation // 90)  # the player turns it back, clockwise
    x0, y0, x1, y1 = given.at(0, coded.shape, rotation)[0].astype(int)
    again = np.zeros_like(coded)
    again[y0:y1, x0:x1] = True
    assert (again == coded).all()


@pytest.mark.parametrize(("is_square", "expected"), [(True, [10, 0, 50, 40]), (False, [0, 0, 60, 40])])
def test_without_boxes_the_frame_is_taken(is_square: bool, expected: list[int]) -> None:
    found = non_face.build_box_locator("2d106", is_square=is_square)(np.zeros((40, 60, 3), np.uint8), 0, None)
    assert found.boxes.tolist() == [expected]


def test_the_shapes_that_stand_for_a_parser() -> None:
    square, ellipse = (non_face.build_shape_parser(name)(torch.zeros(2, 3, 8, 8), 64) for name in ("square", "ellipse"))
    assert square.shape == ellipse.shape == (2, 64, 64) and (square == square[0, 0, 0]).all()
    inside = (ellipse[0] == square[0, 0, 0]).mean()
    assert inside == pytest.approx(np.pi / 4, abs=0.04)  # the border is of pixel centres
