"""Write files and folders atomically: first under a hidden draft name, then renamed in one step.

Every OSError of a write becomes an OutputUnwritable here, so that all outputs fail with the same message.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vidinv.errors import OutputUnwritable

_REMEDIES = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EFBIG: "allow larger files and run the same command again",
    errno.EDQUOT: "free some space and run the same command again",
    errno.EACCES: "choose a folder you may write to",
    errno.EPERM: "choose a folder you may write to",
    errno.EROFS: "choose a folder you may write to",
    errno.ENOENT: "create the folder first",
}
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_STEM = 40  # characters of a name that its draft repeats; a name has up to 255 bytes, a character up to 4


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
    private: bool = False,
    synced: bool = False,
    parents: bool = False,
    remedy: str = "",
    failures: tuple[type[Exception], ...] = (),
) -> Iterator[Path]:
    """Yield an empty draft file next to `path`; it replaces `path` if the block succeeds and is removed otherwise.

    `private`: only the owner may read it (mode 0600); otherwise the mode follows the umask. `synced`: it is on the disk
    before it is renamed. `parents`: missing folders are created. Raises what `writing` raises.
    """
    draft = _draft_path(path)
    with writing(path, remedy, failures):
        try:
            if parents:
                path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if private else 0o666))
            yield draft
            if synced:
                sync(draft)
            os.replace(draft, path)
        finally:
            with suppress(OSError):
                draft.unlink()


@contextmanager
def creating_folder(path: Path, *, parents: bool = False, remedy: str = "") -> Iterator[Path]:
    """Yield a draft folder next to `path`; it is renamed to `path` if the block succeeds and is removed otherwise.

    Raises OutputUnwritable, also if `path` exists and is not an empty folder.
    """
    draft = _draft_path(path)
    with writing(path, remedy):
        try:
            draft.mkdir(parents=parents)
            yield draft
            draft.rename(path)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def write_atomically(
    path: Path,
    data: bytes | str,
    *,
    private: bool = False,
    synced: bool = False,
    parents: bool = False,
    remedy: str = "",
) -> None:
    """Write bytes, or text as UTF-8, to `path`; options and errors as `replacing`."""
    content = data.encode() if isinstance(data, str) else data
    with replacing(path, private=private, synced=synced, parents=parents, remedy=remedy) as draft:
        draft.write_bytes(content)


def move_into_place(made: Path, path: Path, remedy: str = "") -> None:
    """Rename the file `made` to `path`; on another disk it is copied atomically, readable only by its owner.

    Raises OutputUnwritable.
    """
    with writing(path, remedy):
        try:
            os.replace(made, path)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with replacing(path, private=True, remedy=remedy) as draft:
                shutil.copyfile(made, draft)


def publish_exclusively(made: Path, path: Path) -> None:
    """Rename the file or folder `made` to `path` without replacing anything.

    Raises FileExistsError, and changes nothing, if `path` exists.
    """
    if made.is_dir():
        path.mkdir()
        os.replace(made, path)  # replaces the empty folder; fails if another process has filled it
        return
    try:
        os.link(made, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # this process owns the name now
        os.replace(made, path)
    else:
        made.unlink()


def remove_drafts(path: Path) -> None:
    """Remove the drafts of `path` that killed processes left. No other process may be writing `path`."""
    for draft in path.parent.glob(f"{glob.escape(_draft_stem(path))}*.part"):
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until the bytes of `path` are on the disk. Raises OSError."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def _draft_path(path: Path) -> Path:
    """A unique draft name next to `path`."""
    return path.with_name(f"{_draft_stem(path)}{uuid.uuid4().hex[:12]}.part")


def _draft_stem(path: Path) -> str:
    """The prefix of the names of all drafts of `path`; no draft of another file has it."""
    return f".{path.name[:_STEM]}.{hashlib.sha256(path.name.encode()).hexdigest()[:8]}-"
