"""Name each output by a template and its row; the journal refuses two rows with the same name."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from string import Formatter

from vidinv.batch import input_list
from vidinv.batch.input_list import InputRow
from vidinv.errors import UsageError
from vidinv.media import remux

DEFAULT = "{folder}/{stem}.edited{suffix}"
LONGEST = 1024  # characters of a template
SPEC = re.compile(r"(?:.?[<>=^])?[+ -]?#?0?\d{0,2}(?:\.\d{0,2})?[a-zA-Z%]?")  # a width of two digits at most
FIELDS = ("stem", "suffix", "name", "parent", "folder", "row", "edits")


def check_template(template: str) -> None:
    """Raise UsageError for a template with a field that is not in FIELDS, or with invalid syntax."""
    if len(template) > LONGEST:
        raise UsageError(f"the name {template[:40]!r}... has more than {LONGEST} characters", remedy="shorten it")
    try:
        parts = [(field, spec or "") for _, field, spec, _ in Formatter().parse(template) if field is not None]
    except ValueError as error:
        raise UsageError(
            f"--name {template!r} is not a valid template ({error})", remedy="write {{ for a brace"
        ) from error
    unknown = [field for field, _ in parts if field not in FIELDS]
    if unknown:
        known = ", ".join(f"{{{field}}}" for field in FIELDS)
        raise UsageError(f"--name {template!r} has the unknown field {{{unknown[0]}}}", remedy=f"choose from {known}")
    if refused := [spec for _, spec in parts if not SPEC.fullmatch(spec)]:
        raise UsageError(f"--name {template!r} has the format {refused[0]!r}", remedy="write it as {row:04d}")


def check_list(given: str) -> None:
    """Raise UsageError for a list of clips that cannot be read, or whose names `check_template` refuses."""
    for place, row in enumerate(input_list.read_list(given), 1):
        try:
            check_template(row.name)
        except UsageError as error:
            raise UsageError(f"row {place} ({row.source}): {error.what}", remedy=error.remedy) from error


def output_name(row: InputRow, template: str) -> str:
    """The output's path relative to the batch's folder, with "/". Raises UsageError for a path outside the folder."""
    check_template(template)
    source = PurePosixPath(row.source)
    fields = {
        "stem": source.stem,
        "suffix": source.suffix if remux.is_written(Path(source.name)) else ".mkv",
        "name": source.name,
        "parent": source.parent.name,
        "folder": row.folder,
        "row": row.number,
        "edits": re.sub(r"[^\w.+=-]+", "_", "_".join(row.edits)),
    }
    try:
        name = template.format(**fields).lstrip("/")
    except (ValueError, TypeError, OverflowError) as error:
        raise UsageError(
            f"--name {template!r} cannot be formatted ({error})", remedy="write a field as in {row:04d}"
        ) from error
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or "\0" in name:
        raise UsageError(f"row {row.number} would be written to {name!r}", remedy="choose another --name")
    return str(PurePosixPath(name))
