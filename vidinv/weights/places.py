"""Where fetched and converted weights lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from vidinv import fileio

HOW_TO_GET = "run: vidinv weights pull (with a network) or vidinv weights pull --from DIR"
REMEDY = "free some space there or set VIDINV_CACHE to a folder that can be written"


def root() -> Path:
    """The cache folder: VIDINV_CACHE, else XDG_CACHE_HOME/vidinv, else ~/.cache/vidinv. Not created here."""
    if chosen := os.environ.get("VIDINV_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "vidinv"


def archives() -> Path:
    """The folder of downloaded archives, emptied after conversion unless they are to be kept."""
    return root() / "archives"


def converted(name: str) -> Path:
    """The safetensors file of a part, `<cache>/<role>/<part>.safetensors`."""
    return root() / f"{name}.safetensors"


def record(name: str) -> Path:
    """The JSON beside a converted file that says what it was made from and its sha256."""
    return root() / f"{name}.json"


def acceptances() -> Path:
    """The JSON that remembers which terms were accepted."""
    return root() / "accepted-licences.json"


def write_cached(path: Path, data: bytes | str) -> None:
    """Write a file of the cache, whole or not at all. Raises OutputUnwritable."""
    fileio.write_atomically(path, data, parents=True, remedy=REMEDY)
