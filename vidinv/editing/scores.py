"""Read face scores from a CSV: a column `seed` (generated faces) or `file` (pictures), and one per attribute."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vidinv.errors import UsageError

SEED, FILE = "seed", "file"
LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class Scores:
    """Scores `values` [N] float32 of N faces, given by `seeds`, or by `files` if there are no seeds."""

    values: Tensor
    seeds: tuple[int, ...] = ()
    files: tuple[Path, ...] = ()


def read_scores(path: Path, attribute: str, folder: Path | None = None) -> Scores:
    """Read the column `attribute` of a CSV, with the column `seed`, else `file` (in `folder`, or the CSV's folder).

    Raises UsageError, which names the line, for a missing column, a missing picture or a value that is not a finite
    number.
    """
    values, seeds, files = [], [], []
    by = ""
    for line, row in _rows(path):
        if not by:
            by = _key(row, attribute, path)
        where = f"{path}, line {line}"
        if by == SEED:
            seeds.append(_seed(row[SEED], where))
        else:
            files.append(_file(row[FILE], folder or path.parent, where))
        values.append(_number(row[attribute], attribute, where))
    if not values:
        raise UsageError(
            f"{path} holds no scores", remedy=f"write a header line, {SEED},{attribute}, and one line per face"
        )
    return Scores(torch.tensor(values), tuple(seeds), tuple(files))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Yield each line's number in the file and its cells by column."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            for row in reader:
                if None in row:
                    raise UsageError(f"{path}, line {reader.line_num}: more cells than columns", remedy="quote commas")
                yield reader.line_num, row
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", remedy="check --scores") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} is not a CSV: {error}", remedy="save it as CSV in UTF-8") from error


def _key(row: dict[str, str | None], attribute: str, path: Path) -> str:
    columns = ", ".join(row)
    if attribute not in row:
        raise UsageError(f"{path}, line 1: no column {attribute!r} among {columns}", remedy="name it as --attribute")
    if SEED not in row and FILE not in row:
        raise UsageError(
            f"{path}, line 1: no column {SEED!r} or {FILE!r} among {columns}",
            remedy="add a column that identifies the faces",
        )
    return SEED if SEED in row else FILE


def _seed(cell: str | None, where: str) -> int:
    text = (cell or "").strip()
    if not (text.isascii() and text.isdigit()) or int(text) > LARGEST_SEED:
        raise UsageError(f"{where}: {SEED} {text!r} is not a seed", remedy="write 0, 1, 2, ...")
    return int(text)


def _file(cell: str | None, folder: Path, where: str) -> Path:
    path = folder / (cell or "")
    if not cell or not path.is_file():
        raise UsageError(
            f"{where}: the picture {path} does not exist", remedy="give its name in --photos or in the CSV's folder"
        )
    return path


def _number(cell: str | None, attribute: str, where: str) -> float:
    try:
        value = float(cell or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{where}: {attribute} {cell or ''!r} is not a number", remedy="write one, or remove the line")
    return value
