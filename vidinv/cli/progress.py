"""Choose how a command shows its progress: the options --progress and -q."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from vidinv.errors import UsageError
from vidinv.progress import JsonLines, PlainLines, ProgressBar, ProgressDisplay, SilentProgress

KINDS = ("bar", "json", "none")


@contextmanager
def show(kind: str | None, *, quiet: bool = False, unit: str = "frames") -> Iterator[ProgressDisplay]:
    """The progress `kind` asks for: bar, json or none; None is a bar on a terminal and none elsewhere.

    Without a bar every warning and what was made still go to standard error; `quiet` leaves only errors. `unit` names
    what is counted. Raises UsageError for an unknown kind.
    """
    if kind is not None and kind not in KINDS:
        raise UsageError(f"unknown --progress {kind!r}", remedy=f"choose one of {', '.join(KINDS)}")
    chosen = kind or ("bar" if sys.stderr.isatty() else "none")
    if quiet:
        yield SilentProgress()
    elif chosen == "json":
        yield JsonLines(unit)
    elif chosen == "none":
        yield PlainLines()
    else:
        with ProgressBar(unit=unit) as bar:
            yield bar
