"""Define the paths of fetched and converted weights in the cache."""

from __future__ import annotations

import os
from pathlib import Path

from vidinv import fileio

HOW_TO_GET = "run: vidinv weights pull (with a network) or vidinv weights pull --from DIR"
REMEDY = "free some space there or set VIDINV_CACHE to a folder that can be written"


def root() -> Path:
    """Return the cache folder: VIDINV_CACHE, else XDG_CACHE_HOME/vidinv, else ~/.cache/vidinv. It is not created."""
    if chosen := os.environ.get("VIDINV_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "vidinv"


def archives() -> Path:
    """Return the folder of downloaded archives, which are deleted after conversion unless they are to be kept."""
    return root() / "archives"


def converted(name: str) -> Path:
    """Return the safetensors path of a part, `<cache>/<role>/<part>.safetensors`."""
    return root() / f"{name}.safetensors"


def record(name: str) -> Path:
    """Return the path of a converted file's JSON record, which holds its origin and sha256."""
    return root() / f"{name}.json"


def acceptances() -> Path:
    """Return the path of the JSON that records the accepted terms."""
    return root() / "accepted-licences.json"


def write_cached(path: Path, data: bytes | str) -> None:
    """Write a file of the cache, whole or not at all. Raises OutputUnwritable."""
    fileio.write_atomically(path, data, parents=True, remedy=REMEDY)
