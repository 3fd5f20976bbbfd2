"""Check that the source does not change while a job runs: by size and time, and by content if those changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vidinv import fileio
from vidinv.errors import InputUnreadable
from vidinv.media.source import error_reason

Stamp = tuple[tuple[str, int, int, int], ...]  # of each file: name, size, time of its last change in ns, inode


@dataclass(frozen=True)
class SourceState:
    """The state of a file or of a folder of pictures; `content` is its sha256."""

    path: Path
    stamp: Stamp
    content: str

    @classmethod
    def of(cls, path: Path) -> SourceState:
        """Read the state of `path`. Raises InputUnreadable."""
        try:
            return cls(path, _stamp(path), fileio.content_sha256(path))
        except OSError as error:
            raise InputUnreadable(f"{path} cannot be read ({error_reason(error)})", remedy="check the path") from error

    def check(self) -> None:
        """Raise InputUnreadable if the source was removed or its bytes changed."""
        try:
            if _stamp(self.path) == self.stamp or fileio.content_sha256(self.path) == self.content:
                return
        except OSError as error:
            raise InputUnreadable(
                f"{self.path} was removed while the job ran ({error_reason(error)})",
                remedy="restore it and run the command again",
            ) from error
        raise InputUnreadable(
            f"{self.path} changed while the job ran", remedy="restore it, or start again when it is complete"
        )


def _stamp(path: Path) -> Stamp:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    facts = [(each.name, each.stat()) for each in files]
    return tuple((name, known.st_size, known.st_mtime_ns, known.st_ino) for name, known in facts)
