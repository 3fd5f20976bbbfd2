"""The image grid: every picture at its place, unchanged, and labels on a margin beside them."""

from __future__ import annotations

import pytest
import torch

from vidinv.media.image_grid import image_grid


def test_every_picture_is_at_its_place() -> None:
    rows = torch.rand(2, 3, 3, 4, 5) * 2 - 1  # [rows,columns,3,h,w]
    made = image_grid([rows[0], list(rows[1])])
    assert made.shape == (3, 8, 15)
    for row in range(2):
        for column in range(3):
            cell = made[:, 4 * row : 4 * row + 4, 5 * column : 5 * column + 5]
            assert torch.equal(cell, rows[row, column])


def test_labels_are_on_a_margin_and_leave_the_pictures_alone() -> None:
    rows = torch.rand(2, 2, 3, 64, 80) * 2 - 1
    plain = image_grid(list(rows))
    made = image_grid(list(rows), row_labels=("one", "two"), column_labels=("source", "edit"))
    top, left = made.shape[1] - plain.shape[1], made.shape[2] - plain.shape[2]
    assert top > 0 and left > 0 and torch.equal(made[:, top:, left:], plain)
    margins = {
        "source": made[:, :top, left : left + 80],
        "edit": made[:, :top, left + 80 :],
        "one": made[:, top : top + 64, :left],
        "two": made[:, top + 64 :, :left],
    }
    for text, margin in margins.items():
        assert margin.max() == 1 and margin.min() < -0.5, text  # white, with black text
    assert not torch.equal(margins["one"], margins["two"])
    assert (made[:, :top, :left] == 1).all()


def test_a_long_label_is_shrunk_to_its_column() -> None:
    made = image_grid([torch.zeros(2, 3, 32, 40)], column_labels=("a" * 60, "b"))
    assert made.shape[2] == 80 and (made[:, :-32, :2] == 1).all() and (made[:, :-32, 38:42] == 1).all()


def test_labels_are_counted() -> None:
    with pytest.raises(ValueError, match="2 columns takes as many labels, got 1"):
        image_grid([torch.zeros(2, 3, 4, 4)], column_labels=("one",))
    with pytest.raises(ValueError, match="1 rows takes as many labels, got 2"):
        image_grid([torch.zeros(2, 3, 4, 4)], row_labels=("one", "two"))
