"""Write files and folders whole or not at all: first under a hidden draft name, then renamed in one step.

Every OSError while something is written becomes one OutputUnwritable here, so that all outputs fail in the same words.
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
_STEM = 40  # characters of a name that its draft repeats: a name has up to 255 bytes, a character up to 4


def unwritable(path: Path | str, error: Exception, remedy: str = "") -> OutputUnwritable:
    """The error to show when writing `path` failed with `error`; the remedy follows from its errno unless given."""
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
    """An empty draft file beside `path` that replaces `path` when the block ends well and is removed when it does not.

    `private`: only the owner may read it (mode 0600); else the mode follows the umask. `synced`: it is on the disk
    before it is renamed. `parents`: missing folders are created. Errors as `writing`.
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
    """A draft folder beside `path` that is renamed to it when the block ends well and is removed when it does not.

    Raises OutputUnwritable, also where `path` is there already and is not an empty folder.
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
    """Rename the file `made` to `path`; to another disk it is copied, whole and readable by its owner alone.

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
    """Rename the file or folder `made` to `path` without replacing anything that has that name already.

    Raises FileExistsError where there is something; nothing is changed then.
    """
    if made.is_dir():
        path.mkdir()
        os.replace(made, path)  # over the empty folder; one that was filled meanwhile is an error
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
    """Remove what killed processes left of writing `path`. To be called where no other process can be writing it."""
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
    """A name beside `path` that no other process and no other draft has."""
    return path.with_name(f"{_draft_stem(path)}{uuid.uuid4().hex[:12]}.part")


def _draft_stem(path: Path) -> str:
    """How the names of all drafts of `path` begin, and those of no other file's drafts."""
    return f".{path.name[:_STEM]}.{hashlib.sha256(path.name.encode()).hexdigest()[:8]}-"
