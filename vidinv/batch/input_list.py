"""Read the clips of a batch from a folder, a pattern, or a CSV or YAML list with edits and options per clip."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from io import TextIOWrapper
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from vidinv.batch import storage
from vidinv.bounded_yaml import read_yaml_text
from vidinv.errors import InputUnreadable, UsageError
from vidinv.fileio import open_regular

VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".mxf", ".wmv")
LISTS = (".csv", ".yaml", ".yml")
MOST_BYTES = 1 << 25  # of a CSV list; a YAML list is bounded by `bounded_yaml`
MOST_LINE = 1 << 16  # characters of a line of CSV
_GIVEN = ("source", "edits", "name")


@dataclass(frozen=True)
class InputRow:
    """One requested clip.

    `source` is a path or a URL, `folder` its folder relative to the searched folder (empty: that folder), `name` a
    template of the output's name (empty: the batch's template), `options` are (key, value) with `quality` or keys of
    the configuration. `number` counts from 1.
    """

    number: int
    source: str
    folder: str = ""
    edits: tuple[str, ...] = ()
    name: str = ""
    options: tuple[tuple[str, str], ...] = ()


def read_rows(given: str, pattern: str | None = None, but: str = "") -> Iterator[InputRow]:
    """Yield the rows of a folder, a glob pattern, or a list (LISTS), in order.

    A folder yields every file that matches `pattern` (None: has a video's suffix) and is not inside the folder `but`. A
    list yields every row; a row whose source is a pattern is repeated for every matching file. Raises InputUnreadable
    if there are no rows, UsageError for a list that cannot be read.
    """
    if is_list(given):
        if pattern is not None:
            raise UsageError("--pattern works only with a folder", remedy=f"write the pattern into {given} as a source")
        listed = _of_list(Path(given))
    elif pattern is None and storage.is_folder(given):
        listed = (InputRow(0, path, _below(path, given)) for path in storage.list_files(given) if _is_video(path))
    else:
        listed = iter([InputRow(0, given if pattern is None else storage.join(given, pattern))])
    number = 0
    for row in listed:
        for found in _expanded(row):
            if not (but and storage.is_inside(found.source, but)):
                number += 1
                yield replace(found, number=number)
    if not number:
        raise InputUnreadable(f"no clip in {given}", remedy="give a folder of videos, a pattern or a list of them")


def is_list(given: str) -> bool:
    """Return whether what is given is a list in CSV or YAML, by its name."""
    return PurePosixPath(given).suffix.lower() in LISTS and not storage.MAGIC.search(given)


def read_list(given: str) -> Iterator[InputRow]:
    """The rows of a list as they are written, whose sources are not searched. Raises UsageError."""
    yield from _of_list(Path(given))


def _expanded(row: InputRow) -> Iterator[InputRow]:
    """Repeat the row for every file that its source matches."""
    if not storage.MAGIC.search(row.source) or storage.exists(row.source):
        yield row
        return
    root = storage.MAGIC.split(row.source)[0].rpartition("/")[0]
    for path in storage.list_matches(row.source):
        yield replace(row, source=path, folder=_below(path, root))


def _is_video(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in VIDEOS


def _below(path: str, root: str) -> str:
    folder = path.rpartition("/")[0]
    return folder[len(root) :].strip("/") if root and folder.startswith(root) else ""


def _of_list(path: Path) -> Iterator[InputRow]:
    """Read the rows of a list; sources are relative to the list's folder."""
    try:
        entries = _of_csv(path) if path.suffix.lower() == ".csv" else _of_yaml(path)
        for place, entry in enumerate(entries, 1):
            yield _row(entry, f"row {place} of {path}", path.parent)
    except (OSError, ValueError, csv.Error, yaml.YAMLError) as error:  # ValueError: other text, too many digits
        raise UsageError(f"cannot read {path}: {str(error).splitlines()[0]}", remedy="give CSV or YAML") from error


def _lines(path: Path) -> Iterator[str]:
    """The lines of a text file, in which names need not be UTF-8. Raises UsageError over MOST_BYTES or MOST_LINE."""
    with (
        open_regular(path) as binary,
        TextIOWrapper(binary, encoding="utf-8-sig", errors="surrogateescape", newline="") as file,
    ):
        if os.fstat(binary.fileno()).st_size > MOST_BYTES:
            raise UsageError(f"{path} has more than {MOST_BYTES >> 20} MB", remedy="split the list")
        while line := file.readline(MOST_LINE + 1):
            if len(line) > MOST_LINE:
                raise UsageError(f"{path} has a line of more than {MOST_LINE} characters", remedy="give shorter rows")
            yield line


def _of_csv(path: Path) -> Iterator[dict[str, Any]]:
    reader = csv.DictReader(_lines(path))
    if "source" not in (reader.fieldnames or ()):
        raise UsageError(f"{path} has no column source", remedy="add a first line: source,edits,name")
    for entry in reader:
        if entry.get(None) is not None:
            raise UsageError(f"line {reader.line_num} of {path} has more cells than the header has columns")
        yield {key.strip(): value.strip() for key, value in entry.items() if value and value.strip()}


def _of_yaml(path: Path) -> Iterator[dict[str, Any]]:
    entries = yaml.safe_load(read_yaml_text(path, "the list"))
    if not isinstance(entries, list):
        raise UsageError(f"{path} is not a list", remedy="write one clip per line: - {source: talk.mp4, edits: age+2}")
    for place, entry in enumerate(entries, 1):
        if isinstance(entry, str):
            entry = {"source": entry}
        if not isinstance(entry, dict):
            raise UsageError(f"row {place} of {path} is not a clip", remedy="write - {source: talk.mp4, edits: age+2}")
        yield {str(key): value for key, value in entry.items()}


def _row(entry: Mapping[str, Any], where: str, folder: Path) -> InputRow:
    source, edits = entry.get("source"), entry.get("edits", ())
    if not isinstance(source, str) or not source:
        raise UsageError(f"{where} has no source", remedy="give each clip a source")
    if isinstance(edits, str):
        edits = [edit for edit in re.split(r"[;\s]+", edits) if edit]
    if not isinstance(edits, list | tuple) or not all(isinstance(edit, str) for edit in edits):
        raise UsageError(f"{where}: edits must be a list", remedy="write edits: [age+2, smile-1]")
    options = {key: value for key, value in entry.items() if key not in _GIVEN}
    if not storage.is_url(source):
        source = str(folder / source)
    return InputRow(0, source, edits=tuple(edits), name=str(entry.get("name", "")), options=tuple(_flat(options)))


def _flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Flatten groups of keys to dotted keys: {mask: {blur: 0.03}} -> (mask.blur, 0.03)."""
    for key, value in options.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value).lower() if isinstance(value, bool) else str(value)
