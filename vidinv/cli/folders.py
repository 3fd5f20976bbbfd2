"""Give a folder such as "." its name, and refuse one where a file is meant."""

from __future__ import annotations

from pathlib import Path

from vidinv.errors import UsageError


def with_name(path: Path) -> Path:
    """Return `path`, or the full path of the folder that "." or ".." means. Raises UsageError for the root folder."""
    if path.name not in ("", ".."):
        return path
    named = path.resolve()
    if not named.name:
        raise UsageError(f"{path} is the root folder", remedy="give a file, or a folder of pictures")
    return named


def refuse_folder(path: Path, instead: str) -> None:
    """Raise UsageError if `path` is a folder; `instead` says what to do."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder", remedy=instead)


def with_pictures(path: Path) -> Path:
    """Return `path` as `with_name` does. Raises UsageError for a folder in which there is no picture."""
    from vidinv.media import sequence

    named = with_name(path)
    if named.is_dir() and not any(map(sequence.is_picture, named.iterdir())):
        raise UsageError(f"{path} is a folder without pictures", remedy="give a file, or a folder of pictures")
    return named
