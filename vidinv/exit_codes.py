"""Turn any error into the exit code and the line of the command line."""

from __future__ import annotations

import errno
import os

from vidinv.errors import OutOfMemory, OutputUnwritable, VidinvError
from vidinv.memory import REMEDY, is_out_of_memory

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # errors of a full disk, a used-up quota, a limit of file sizes


def exit_code_and_message(error: BaseException) -> tuple[int, str]:
    """Return the exit code of any error, and the line to show to the user."""
    if is_out_of_memory(error) and not (isinstance(error, OutOfMemory) and error.remedy):
        where = " ".join(getattr(error, "__notes__", []))
        return OutOfMemory.exit_code, f"{f'out of memory {where}'.rstrip()}; {REMEDY}"
    if isinstance(error, VidinvError):
        return error.exit_code, str(error)
    full = _full_disk(error)
    if full is not None:
        return OutputUnwritable.exit_code, f"{full}; free some space and run the same command again"
    what = f"internal error: {type(error).__name__}: {error}".splitlines()[0]
    where = " ".join(getattr(error, "__notes__", []))
    return 1, f"{what} {where}".rstrip() + "; run it with --debug and report the traceback"


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
