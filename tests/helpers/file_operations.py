"""Act at the moment when this process is about to change a file: a full disk, a kill, somebody else's change."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any


@dataclass
class Moment:
    """Calls `act` at the first (or every) change of a file whose name matches `pattern` and for which `when` holds."""

    pattern: str
    act: Callable[[], object]
    when: Callable[[Path], bool]
    repeatedly: bool = False
    has_come: bool = False


_WAITING: list[Moment] = []


def has_content(path: Path) -> bool:
    """Whether a file is there and not empty."""
    return path.exists() and path.stat().st_size > 0


@contextlib.contextmanager
def before_change(
    pattern: str, act: Callable[[], object], when: Callable[[Path], bool] = lambda path: True
) -> Iterator[None]:
    """Call `act` once, just before this process writes, makes or renames to a file or folder named like `pattern`.

    The draft of a file is named after it, so that "*job.json*" is the file itself and its draft.

    What `act` raises is what the operation raises. Fails where no such operation came.
    """
    with _waiting(Moment(pattern, act, when)):
        yield


@contextlib.contextmanager
def full_disk(pattern: str, when: Callable[[Path], bool] = lambda path: True) -> Iterator[None]:
    """The disk has no room for files named like `pattern`, however often this process tries to write one."""

    def refuse() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with _waiting(Moment(pattern, refuse, when, repeatedly=True)):
        yield


@contextlib.contextmanager
def _waiting(moment: Moment) -> Iterator[None]:
    _WAITING.append(moment)
    try:
        yield
    finally:
        _WAITING.remove(moment)
    assert moment.has_come, f"no file named {moment.pattern} was changed"


def _hear(event: str, given: tuple[Any, ...]) -> None:
    """An audit hook: Python announces an operation and its arguments, and does it unless the hook raises."""
    if not _WAITING or event not in ("open", "os.mkdir", "os.rename", "os.link"):
        return
    target = given[1] if event in ("os.rename", "os.link") else given[0]
    if not isinstance(target, (str, os.PathLike)):
        return
    if event == "open" and not (given[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        return
    path = folder_of(event, given) / os.fspath(target)
    for moment in _WAITING:
        is_due = moment.repeatedly or not moment.has_come
        if is_due and fnmatch(path.name, moment.pattern) and moment.when(path):
            moment.has_come = True
            moment.act()


def folder_of(event: str, given: tuple[Any, ...]) -> Path:
    """The folder in whose open handle an announced operation names its target; empty where it names a path."""
    is_handle = event in ("os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir") and given[-1] >= 0
    return Path(os.readlink(f"/proc/self/fd/{given[-1]}")) if is_handle else Path()


def is_outside_job(path: Path) -> bool:
    """Whether a file is in no job folder: it is given its name."""
    return not any(part.endswith(".vidinv") for part in path.parts)


sys.addaudithook(_hear)
