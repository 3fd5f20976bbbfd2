"""Several pictures as one: a grid of rows and columns, with labels where they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

LABEL = 24  # pixels, height of a line of text
WIDEST = 256  # pixels, of the column of row labels; a longer label is shrunk
FONT, SCALE, PAD = cv2.FONT_HERSHEY_SIMPLEX, 0.5, 6


def image_grid(
    rows: Sequence[Iterable[Tensor]], *, row_labels: Sequence[str] = (), column_labels: Sequence[str] = ()
) -> Tensor:
    """Rows of pictures [3,h,w] in [-1,1] as one picture [3,H,W], without gaps between them.

    A row may be a tensor [N,3,h,w]. Pictures of one row have one height, and all rows have one width in sum. Labels are
    black on a white margin, of columns above the first row, of rows on the left. Raises ValueError where there are not
    as many labels as rows or columns, RuntimeError for sizes that do not fit.
    """
    cells = [list(row) for row in rows]
    grid = torch.cat([torch.cat(row, 2) for row in cells], 1)
    if column_labels:
        _expect(len(column_labels), len(cells[0]), "columns")
        widths = [cell.shape[2] for cell in cells[0]]
        labels = [_label(text, LABEL, width) for text, width in zip(column_labels, widths, strict=True)]
        grid = torch.cat([torch.cat(labels, 2).to(grid), grid], 1)
    if row_labels:
        _expect(len(row_labels), len(cells), "rows")
        width = min(WIDEST, max(_width(text, SCALE) for text in row_labels) + 2 * PAD)
        labels = [_label(text, row[0].shape[1], width) for text, row in zip(row_labels, cells, strict=True)]
        corner = [torch.ones(3, LABEL, width)] if column_labels else []
        grid = torch.cat([torch.cat(corner + labels, 1).to(grid), grid], 2)
    return grid


def _expect(labels: int, cells: int, what: str) -> None:
    if labels != cells:
        raise ValueError(f"a grid of {cells} {what} takes as many labels, got {labels}")


def _width(text: str, scale: float) -> int:
    return int(cv2.getTextSize(text, FONT, scale, 1)[0][0])


def _label(text: str, height: int, width: int) -> Tensor:
    """A line of text in the middle of a white picture [3,height,width] in [-1,1]."""
    scale = SCALE * min(1.0, (width - 2 * PAD) / max(_width(text, SCALE), 1))
    picture = np.full((height, width), 255, np.uint8)
    if scale > 0:
        text_height = int(cv2.getTextSize(text, FONT, scale, 1)[0][1])
        place = ((width - _width(text, scale)) // 2, (height + text_height) // 2)
        cv2.putText(picture, text, place, FONT, scale, 0, 1, cv2.LINE_AA)
    return torch.from_numpy(picture).float().div(127.5).sub(1).expand(3, -1, -1)
