"""Collect the pictures of an evaluation, one row per face, and write them as a labelled grid (`--picture FILE`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class EvaluationGrid:
    """Picture grid with one row per face; rows are collected only if there is a `path` to write it to."""

    path: Path | None
    columns: Sequence[str]  # what the pictures of a row show
    overwrite: bool = False
    rows: list[tuple[str, list[Tensor]]] = field(default_factory=list)

    def add(self, name: str, shown: list[Tensor]) -> None:
        """A row of pictures [1,3,S,S], labelled with the file that the face is from."""
        if self.path is not None:
            self.rows.append((Path(name).name, [picture[0] for picture in shown]))

    def write(self) -> None:
        """Write the grid to `path`. Raises OutputUnwritable."""
        from vidinv.media import picture
        from vidinv.media.image_grid import image_grid

        if self.path is not None:
            names, pictures = [name for name, _ in self.rows], [shown for _, shown in self.rows]
            grid = image_grid(pictures, row_labels=names, column_labels=self.columns)
            picture.write_picture(self.path, grid, overwrite=self.overwrite)


def check_picture(picture: Path | None, data: list[Path], overwrite: bool) -> None:
    """Check that the grid can be written. Raises OutputUnwritable, UsageError if it is one of the `data`."""
    from vidinv.jobs import exclusive_outputs

    if picture is not None:
        for path in data:
            exclusive_outputs.check_output(picture, path, overwrite=overwrite)
