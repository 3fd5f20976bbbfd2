"""Where fetched and converted weights lie on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vidinv.errors import OutputUnwritable

HOW_TO_GET = "run: vidinv weights pull (with a network) or vidinv weights pull --from DIR"


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


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A temporary path beside `target` that becomes `target` when the block ends well and vanishes when it does not.

    Raises OutputUnwritable when the cache cannot be written (permission, disk full).
    """
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        os.replace(draft, target)
    except OSError as error:
        raise OutputUnwritable(
            f"cannot write {target}: {error.strerror or error}",
            remedy="free some space there or set VIDINV_CACHE to a folder that can be written",
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink()
