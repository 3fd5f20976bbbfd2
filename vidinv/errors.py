"""Define the errors shown to users: one line with what happened, where and what to do, and the exit code."""

from __future__ import annotations


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
