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


def write_signed(
    request: Request, folder: JobFolder, claim: Claim, output: Path, write: Callable[[Path], Made]
) -> Made:
    """Write the file `output` by `write(path)`, sign it if the request says so, and return what `write` returned.

    A file that is signed is first written to another path in the job folder. Raises what `write` and `manifest.sign`
    raise.
    """
    if not request.c2pa:
        return write(output)
    unsigned = folder.scratch(f"unsigned{output.suffix}")
    made = write(unsigned)
    manifest.sign(unsigned, output, claim, manifest.credentials(request.config.c2pa))
    unsigned.unlink()
    return made
