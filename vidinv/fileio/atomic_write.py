"""Write files and folders atomically: first under a hidden draft name, then renamed in one step.

Every OSError of a write becomes an OutputUnwritable here, so that all outputs fail with the same message.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vidinv.errors import OutputUnwritable
from vidinv.fileio.drafts import draft_path
from vidinv.fileio.publish import publish, publish_or_keep

_REMEDIES = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EFBIG: "allow larger files and run the same command again",
    errno.EDQUOT: "free some space and run the same command again",
    errno.EACCES: "choose a folder you may write to",
    errno.EPERM: "choose a folder you may write to",
    errno.EROFS: "choose a folder you may write to",
    errno.ENOENT: "create the folder first",
}


def unwritable(path: Path | str, error: Exception, remedy: str = "") -> OutputUnwritable:
    """The error for a failed write of `path`; the remedy follows from the errno of `error` unless given."""
    number = getattr(error, "errno", None)
    reason = getattr(error, "strerror", None) or str(error)
    known = _REMEDIES.get(number or 0, "choose another output")
    return OutputUnwritable(f"{path} cannot be written ({reason})", remedy=remedy or known)


@contextmanager
def writing(path: Path | str, remedy: str = "", failures: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn every OSError of the block, and a library's own `failures`, into an OutputUnwritable that names `path`."""
    caught: tuple[type[Exception], ...] = (OSError, *failures)
    try:
        yield
    except caught as error:
        raise unwritable(path, error, remedy) from error


@contextmanager
def replacing(
    path: Path,
    *,
    overwrite: bool = True,
    private: bool = False,
    synced: bool = False,
    parents: bool = False,
    remedy: str = "",
    failures: tuple[type[Exception], ...] = (),
) -> Iterator[Path]:
    """Yield an empty draft file next to `path`; it replaces `path` if the block succeeds and is removed otherwise.

    Without `overwrite` nothing is replaced: if `path` exists at the end, the draft is kept under a name that the error
    tells. `private`: only the owner may read it (mode 0600); otherwise the mode follows the umask. `synced`: it is on
    the disk before it is renamed. `parents`: missing folders are created. Raises what `writing` raises.
    """
    draft = draft_path(path)
    with writing(path, remedy, failures):
        try:
            if parents:
                path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if private else 0o666))
            yield draft
            if synced:
                sync(draft)
            if overwrite:
                os.replace(draft, path)
            else:
                publish_or_keep(draft, path)
        finally:
            with suppress(OSError):
                draft.unlink()


@contextmanager
def creating_folder(path: Path, *, parents: bool = False, remedy: str = "") -> Iterator[Path]:
    """Yield a draft folder next to `path`; it is renamed to `path` if the block succeeds and is removed otherwise.

    Raises OutputUnwritable, also if `path` exists.
    """
    draft = draft_path(path)
    with writing(path, remedy):
        try:
            draft.mkdir(parents=parents)
            yield draft
            publish(draft, path)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def write_atomically(
    path: Path,
    data: bytes | str,
    *,
    overwrite: bool = True,
    private: bool = False,
    synced: bool = False,
    parents: bool = False,
    remedy: str = "",
) -> None:
    """Write bytes, or text as UTF-8, to `path`; options and errors as `replacing`."""
    content = data.encode() if isinstance(data, str) else data
    with replacing(path, overwrite=overwrite, private=private, synced=synced, parents=parents, remedy=remedy) as draft:
        draft.write_bytes(content)


def sync(path: Path) -> None:
    """Wait until the bytes of `path` are on the disk. Raises OSError."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())
