"""Name the drafts of a file: hidden files next to it that hold its content until they are complete."""

from __future__ import annotations

import glob
import hashlib
import re
import shutil
import uuid
from pathlib import Path

_STEM = 40  # characters of a name that its draft repeats; a name has up to 255 bytes, a character up to 4
_DRAFT = re.compile(r"\..{1,40}\.[0-9a-f]{8}-[0-9a-f]{12}\.part", re.DOTALL)


def draft_path(path: Path) -> Path:
    """A unique draft name next to `path`."""
    return path.with_name(f"{_draft_stem(path)}{uuid.uuid4().hex[:12]}.part")


def is_draft(name: str) -> bool:
    """Whether a file name is that of a draft."""
    return _DRAFT.fullmatch(name) is not None


def remove_drafts(path: Path) -> None:
    """Remove the drafts of `path` that killed processes left. No other process may be writing `path`."""
    for draft in path.parent.glob(f"{glob.escape(_draft_stem(path))}*.part"):
        if draft.is_dir() and not draft.is_symlink():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


def _draft_stem(path: Path) -> str:
    """The prefix of the names of all drafts of `path`; no draft of another file has it."""
    return f".{path.name[:_STEM]}.{hashlib.sha256(path.name.encode(errors='surrogateescape')).hexdigest()[:8]}-"
