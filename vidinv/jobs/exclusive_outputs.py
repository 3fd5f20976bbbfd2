"""Check the files of a request before the work, and publish them at its end; nothing of the user's is replaced."""

from __future__ import annotations

import os
from pathlib import Path

from vidinv import fileio
from vidinv.errors import OutputUnwritable, UsageError
from vidinv.jobs.job_folder import JobFolder, ResultKept
from vidinv.jobs.request_files import RequestFiles, check_distinct


def check_files(files: RequestFiles, source: Path, folder: JobFolder, *, overwrite: bool) -> None:
    """Check that every file of a request can be written, and that the job folder is free or this job's.

    A file that a killed run of the same job published may be replaced. Raises OutputUnwritable, and UsageError if a
    file is `source` itself or would be written twice.
    """
    check_distinct(files.paths())
    folder.check()
    for path in files.paths():
        check_place(path, source)
        if not folder.is_own(path):
            fileio.check_free(path, overwrite=overwrite)


def check_output(output: Path, source: Path, *, overwrite: bool) -> None:
    """Check one file of a command without a job folder. Raises OutputUnwritable, UsageError if it is `source`."""
    check_place(output, source)
    fileio.check_free(output, overwrite=overwrite)


def check_place(output: Path, source: Path) -> None:
    """Raise OutputUnwritable if the folder of `output` cannot be written, UsageError if it is `source` itself."""
    try:
        if not output.parent.is_dir():
            raise OutputUnwritable(f"the folder {output.parent} does not exist", remedy="create it first")
        if output.exists() and source.exists() and os.path.samefile(output, source):
            raise UsageError(f"{output} is the input itself", remedy="choose another -o")
        if not os.access(output.parent, os.W_OK):
            raise OutputUnwritable(f"{output.parent} cannot be written", remedy="choose a folder you may write to")
    except OSError as error:  # such as a name that is too long
        raise fileio.unwritable(output, error, "choose another name") from error


def publish_files(folder: JobFolder, files: RequestFiles, made: RequestFiles, *, overwrite: bool) -> None:
    """Give every file that was made its name. Raises ResultKept, before the first, if a name is in use by now."""
    pairs = [(draft, path) for draft, path in files.with_drafts(made) if draft.exists()]
    for draft, path in pairs:
        if not folder.is_own(path):
            _check_still_free(draft, path, overwrite)
    for draft, path in pairs:
        folder.publish(draft, path, overwrite=overwrite)


def _check_still_free(draft: Path, path: Path, overwrite: bool) -> None:
    try:
        fileio.check_free(path, overwrite=overwrite)
    except OutputUnwritable as error:
        raise ResultKept(
            f"{error.what}: it was made while the job ran",
            remedy=f"the result is kept as {draft}; move one of them, or choose another -o",
        ) from error
