"""Define the errors shown to users: one line with what happened, where and what to do, and the exit code."""

from __future__ import annotations

import errno
import os

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # errors of a full disk, a used-up quota, a limit of file sizes


class VidinvError(Exception):
    """Base of all expected failures; `exit_code` is what the command line returns.

    `str(error)` is the one line shown: what happened and where, then what to do (`remedy`).
    """

    exit_code = 1

    def __init__(self, what: str, *, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}" if self.remedy else self.what


class OutOfMemory(VidinvError):
    """The machine ran out of memory; the remedy names the setting to lower."""

    exit_code = 1


class UsageError(VidinvError):
    """The request itself is wrong: edit syntax, unknown direction, another config on resume, CUDA absent."""

    exit_code = 2


class InputUnreadable(VidinvError):
    """The input is missing, damaged or not a video."""

    exit_code = 3


class NoFaceFound(VidinvError):
    """No face matches the request; nothing was written."""

    exit_code = 4


class WeightsUnavailable(VidinvError):
    """Weights are missing or corrupt, or their terms were not accepted."""

    exit_code = 5


class QualityGateMissed(VidinvError):
    """A gate such as --min-identity was not reached."""

    exit_code = 6


class OutputUnwritable(VidinvError):
    """The output cannot be written: exists, no folder, no permission, disk full, locked."""

    exit_code = 7


def _full_disk(error: BaseException | None) -> str | None:
    """What could not be written if the disk, the quota or a file's size limit was the cause of the error."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return f"{error.filename or 'a file'} cannot be written ({os.strerror(error.errno)})"
        found = next((os.strerror(number) for number in FULL if os.strerror(number) in str(error)), None)
        if found is not None:  # of a library that keeps only the text
            return f"a file cannot be written ({found})"
        error = error.__cause__ or error.__context__
    return None


def exit_code_and_message(error: BaseException) -> tuple[int, str]:
    """Return the exit code of any error, and the line to show to the user."""
    if isinstance(error, VidinvError):
        return error.exit_code, str(error)
    full = _full_disk(error)
    if full is not None:
        return OutputUnwritable.exit_code, f"{full}; free some space and run the same command again"
    if isinstance(error, MemoryError):
        return 1, "out of memory; lower it with --set batch=1 or --quality fast"
    what = f"internal error: {type(error).__name__}: {error}".splitlines()[0]
    where = " ".join(getattr(error, "__notes__", []))
    return 1, f"{what} {where}".rstrip() + "; run it with --debug and report the traceback"
