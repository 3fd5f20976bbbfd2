"""Seal: the finished file gets its C2PA manifest before it gets its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from vidinv.jobs.job_folder import JobFolder
from vidinv.jobs.request import Request
from vidinv.provenance import manifest
from vidinv.provenance.manifest import Claim

Made = TypeVar("Made")


def sealed(request: Request, folder: JobFolder, claim: Claim, write: Callable[[Path], Made]) -> Made:
    """Have the output written by `write(path)`, and signed where the request says so; returns what `write` returned.

    A file to be signed is first written into the job's folder. Raises what `write` and `manifest.sign` raise.
    """
    if not request.c2pa:
        return write(request.output)
    unsigned = folder.path / f"unsigned{request.output.suffix}"
    made = write(unsigned)
    manifest.sign(unsigned, request.output, claim, manifest.credentials(request.config.c2pa))
    unsigned.unlink()
    return made
