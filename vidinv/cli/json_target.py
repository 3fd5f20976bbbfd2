"""Write the JSON of `--json FILE`: an earlier JSON document is replaced, and no other file.

The target is checked when the command line is read, so before the work of every command that has the option.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from vidinv import fileio
from vidinv.errors import OutputUnwritable
from vidinv.terminal import print_line

STANDARD_OUTPUT = "-"


class JsonTarget(str):
    """The value of `--json`. `replaces` says whether a JSON document was there when the command line was read."""

    replaces = False


def parse_target(text: str | None) -> JsonTarget | None:
    """Check the value of `--json`. Raises OutputUnwritable for a file that is no JSON document, and for a folder.

    A link means what it points to, which must exist.
    """
    if text is None:
        return None
    target = JsonTarget(text)
    if target == STANDARD_OUTPUT or _is_stream(Path(target)):
        return target
    path = Path(target).resolve()
    if Path(target).is_symlink() and not path.exists():
        raise OutputUnwritable(f"{target} is a link to nothing", remedy="give another name with --json")
    if not path.parent.is_dir():
        raise OutputUnwritable(f"the folder {path.parent} does not exist", remedy="create it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputUnwritable(f"{path.parent} cannot be written", remedy="choose a folder you may write to")
    if os.path.lexists(path):
        if not (path.is_file() and _is_json(path)):
            raise OutputUnwritable(f"{target} exists and is no JSON document", remedy="give another name with --json")
        target.replaces = True
    return target


def write_json(value: Any, target: str) -> None:
    """Write `value` as JSON to a file, or to standard output for `-`. Raises OutputUnwritable.

    A file that came to have the name while the command ran is not replaced; one that holds `value` stays.
    """
    known = target if isinstance(target, JsonTarget) else parse_target(target)
    text = fileio.json_text(value, indent=1)
    if known is None or known == STANDARD_OUTPUT:
        print_line(text)
        return
    path = Path(known)
    if _is_stream(path):
        with fileio.writing(path):
            path.write_text(text + "\n", encoding="utf-8", errors="surrogateescape")
        return
    path = path.resolve()  # what a link points to is replaced, and not the link
    if not known.replaces and _holds(path, text):  # it is the report that the command has just published
        return
    fileio.write_atomically(path, text + "\n", overwrite=known.replaces)


def _is_stream(path: Path) -> bool:
    """Whether something other than a file or folder has the name, such as a pipe or /dev/stderr."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _holds(path: Path, text: str) -> bool:
    """Whether `path` is a regular file with the same JSON as `text`."""
    try:
        with fileio.open_regular(path) as file:
            return bool(json.load(file) == json.loads(text))
    except (OSError, ValueError, RecursionError):
        return False


def _is_json(path: Path) -> bool:
    """Whether a file is empty or begins like a JSON document of ours."""
    with fileio.writing(path), fileio.open_regular(path) as file:
        start = file.read(1 << 10).lstrip()
    return not start or start[:1] in b"{["
