"""Define the paths of fetched and converted weights in the cache."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from vidinv import fileio, process

HOW_TO_GET = "run: vidinv weights pull (with a network) or vidinv weights pull --from DIR"
REMEDY = "free some space there or set VIDINV_CACHE to a folder that can be written"


def root() -> Path:
    """Return the cache folder: VIDINV_CACHE, else XDG_CACHE_HOME/vidinv, else ~/.cache/vidinv. It is not created.

    Where the latter two are missing and cannot be made, as for an unknown user in a container, it is
    `process.private_folder`, and there is a warning.
    """
    if chosen := os.environ.get("VIDINV_CACHE"):
        return _expanded(chosen)
    usual = _expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "vidinv"
    if os.path.lexists(usual) or _can_be_made(usual):
        return usual
    instead = process.private_folder()
    use = "no cache" if instead is None else str(instead)
    # by its own line, so that it is shown once, whoever asks
    warnings.warn(f"{usual} cannot be made: {use} is used; set VIDINV_CACHE to a folder of your own", stacklevel=1)
    return instead or usual


def _expanded(path: str) -> Path:
    """The path with the user's home in place of `~`; `~` itself stays for a user without one."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # neither HOME nor an entry of the user
        return Path(path)


def _can_be_made(folder: Path) -> bool:
    """Whether the nearest folder above that exists can be written; none is made out of a `~` that is no home."""
    if not folder.is_absolute():
        return False
    above = next(parent for parent in folder.parents if parent.exists())
    return os.access(above, os.W_OK | os.X_OK)


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
