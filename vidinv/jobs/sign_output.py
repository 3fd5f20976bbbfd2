"""Sign a finished file with its C2PA manifest before it gets its final name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from vidinv.jobs.job_folder import JobFolder
from vidinv.jobs.request import Request
from vidinv.provenance import manifest
from vidinv.provenance.manifest import Claim

Made = TypeVar("Made")


def write_signed(request: Request, folder: JobFolder, claim: Claim, write: Callable[[Path], Made]) -> Made:
    """Write the output by `write(path)`, sign it if the request says so, and return what `write` returned.

    A file that is signed is first written into the job folder. Raises what `write` and `manifest.sign` raise.
    """
    if not request.c2pa:
        return write(request.output)
    unsigned = folder.path / f"unsigned{request.output.suffix}"
    made = write(unsigned)
    manifest.sign(unsigned, request.output, claim, manifest.credentials(request.config.c2pa))
    unsigned.unlink()
    return made
