"""The rows of a batch: the clips of a folder, or of a list in CSV or YAML, each with its own edits and options."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from vidinv.batch import storage
from vidinv.errors import InputUnreadable, UsageError

VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".mxf", ".wmv")
LISTS = (".csv", ".yaml", ".yml")
_GIVEN = ("source", "edits", "name")


@dataclass(frozen=True)
class InputRow:
    """One clip as it is asked for.

    `source` is a path or a URL, `folder` where it lies below the folder that was searched (empty: in it), `name` a
    template of the output's name (empty: the batch's), `options` are (key, value): `quality`, or keys of the
    configuration. `number` counts from 1.
    """

    number: int
    source: str
    folder: str = ""
    edits: tuple[str, ...] = ()
    name: str = ""
    options: tuple[tuple[str, str], ...] = ()


def read_rows(given: str, pattern: str | None = None, but: str = "") -> Iterator[InputRow]:
    """The rows of a folder, a glob pattern, or a list (LISTS), in their order, one at a time.

    Of a folder every file that matches `pattern`, or has a video's suffix where none is given, and does not lie in the
    folder `but`; of a list every row, one whose source is a pattern once for every file that matches.
    Raises InputUnreadable where there are none, UsageError for a list that cannot be read.
    """
    suffix = PurePosixPath(given).suffix.lower()
    if suffix in LISTS and not storage.MAGIC.search(given):
        if pattern is not None:
            raise UsageError(
                "--pattern chooses among the files of a folder", remedy=f"write it into {given} as a source"
            )
        listed = _of_list(Path(given))
    elif pattern is None and storage.is_folder(given):
        listed = (InputRow(0, path, _below(path, given)) for path in storage.below(given) if _is_video(path))
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


def _expanded(row: InputRow) -> Iterator[InputRow]:
    """The row once for every file that its source means."""
    if not storage.MAGIC.search(row.source) or storage.exists(row.source):
        yield row
        return
    root = storage.MAGIC.split(row.source)[0].rpartition("/")[0]
    for path in storage.matching(row.source):
        yield replace(row, source=path, folder=_below(path, root))


def _is_video(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in VIDEOS


def _below(path: str, root: str) -> str:
    folder = path.rpartition("/")[0]
    return folder[len(root) :].strip("/") if root and folder.startswith(root) else ""


def _of_list(path: Path) -> Iterator[InputRow]:
    """The rows of a list as they are written; sources are relative to the list's own folder."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            entries = _of_csv(file, path) if path.suffix.lower() == ".csv" else _of_yaml(yaml.safe_load(file), path)
            for place, entry in enumerate(entries, 1):
                yield _row(entry, f"row {place} of {path}", path.parent)
    except (OSError, UnicodeDecodeError, csv.Error, yaml.YAMLError) as error:
        raise UsageError(f"cannot read {path}: {str(error).splitlines()[0]}", remedy="give CSV or YAML") from error


def _of_csv(file: Iterable[str], path: Path) -> Iterator[dict[str, Any]]:
    reader = csv.DictReader(file)
    if "source" not in (reader.fieldnames or ()):
        raise UsageError(f"{path} has no column source", remedy="begin it with a line: source,edits,name")
    for entry in reader:
        if entry.get(None) is not None:
            raise UsageError(f"line {reader.line_num} of {path} has more cells than the head has columns")
        yield {key.strip(): value.strip() for key, value in entry.items() if value and value.strip()}


def _of_yaml(entries: Any, path: Path) -> Iterator[dict[str, Any]]:
    if not isinstance(entries, list):
        raise UsageError(f"{path} holds no list", remedy="write one clip a line: - {source: talk.mp4, edits: age+2}")
    for place, entry in enumerate(entries, 1):
        if isinstance(entry, str):
            entry = {"source": entry}
        if not isinstance(entry, dict):
            raise UsageError(f"row {place} of {path} is no clip", remedy="write - {source: talk.mp4, edits: age+2}")
        yield {str(key): value for key, value in entry.items()}


def _row(entry: Mapping[str, Any], where: str, folder: Path) -> InputRow:
    source, edits = entry.get("source"), entry.get("edits", ())
    if not isinstance(source, str) or not source:
        raise UsageError(f"{where} names no source", remedy="give each clip a source")
    if isinstance(edits, str):
        edits = [edit for edit in re.split(r"[;\s]+", edits) if edit]
    if not isinstance(edits, list | tuple) or not all(isinstance(edit, str) for edit in edits):
        raise UsageError(f"{where}: its edits are no list", remedy="write edits: [age+2, smile-1]")
    options = {key: value for key, value in entry.items() if key not in _GIVEN}
    if not storage.is_url(source):
        source = str(folder / source)
    return InputRow(0, source, edits=tuple(edits), name=str(entry.get("name", "")), options=tuple(_flat(options)))


def _flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Groups of keys as dotted ones: {mask: {blur: 0.03}} -> (mask.blur, 0.03)."""
    for key, value in options.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value).lower() if isinstance(value, bool) else str(value)
