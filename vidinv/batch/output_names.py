"""The name of each output, made of a template and the row; two rows never get one name (`vidinv/batch/journal.py`)."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from string import Formatter

from vidinv.batch.input_list import InputRow
from vidinv.errors import UsageError
from vidinv.media import remux

DEFAULT = "{folder}/{stem}.edited{suffix}"
FIELDS = ("stem", "suffix", "name", "parent", "folder", "row", "edits")


def check_template(template: str) -> None:
    """Raise UsageError for a template that names what is not in FIELDS, or cannot be read."""
    try:
        asked = [field for _, field, _, _ in Formatter().parse(template) if field is not None]
    except ValueError as error:
        raise UsageError(f"cannot read the name {template!r} ({error})", remedy="write {{ for a brace") from error
    unknown = [field for field in asked if field not in FIELDS]
    if unknown:
        known = ", ".join(f"{{{field}}}" for field in FIELDS)
        raise UsageError(f"the name {template!r} asks for {{{unknown[0]}}}", remedy=f"there are {known}")


def of(row: InputRow, template: str) -> str:
    """The output's path below the batch's folder, as "/"-parted text. Raises UsageError for one that leaves it."""
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
    except (ValueError, TypeError) as error:
        raise UsageError(f"cannot make a name of {template!r} ({error})", remedy="write it as {row:04d}") from error
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or any(ord(letter) < 32 for letter in name):
        raise UsageError(f"row {row.number} would be written to {name!r}", remedy="choose another --name")
    return str(PurePosixPath(name))
