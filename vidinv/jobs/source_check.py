"""The source while a job runs: whether it is still what it was, seen by its size and times, sure by its content."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vidinv import fileio
from vidinv.errors import InputUnreadable
from vidinv.media.source import error_reason

Stamp = tuple[tuple[str, int, int, int], ...]  # of each file: name, size, time of its last change in ns, inode


@dataclass(frozen=True)
class SourceState:
    """A file, or a folder of pictures, as it was when it was looked at; `content` is its sha256."""

    path: Path
    stamp: Stamp
    content: str

    @classmethod
    def of(cls, path: Path) -> SourceState:
        """Look at `path`. Raises InputUnreadable."""
        try:
            return cls(path, _stamp(path), fileio.content_sha256(path))
        except OSError as error:
            raise InputUnreadable(f"{path} cannot be read ({error_reason(error)})", remedy="check the path") from error

    def check(self) -> None:
        """Raise InputUnreadable where the source is gone, or holds other bytes than it did."""
        try:
            if _stamp(self.path) == self.stamp or fileio.content_sha256(self.path) == self.content:
                return
        except OSError as error:
            raise InputUnreadable(
                f"{self.path} went away while the job ran ({error_reason(error)})",
                remedy="put it back and run it again",
            ) from error
        raise InputUnreadable(
            f"{self.path} changed while the job ran", remedy="put it back as it was, or start anew when it is finished"
        )


def _stamp(path: Path) -> Stamp:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    facts = [(each.name, each.stat()) for each in files]
    return tuple((name, known.st_size, known.st_mtime_ns, known.st_ino) for name, known in facts)
