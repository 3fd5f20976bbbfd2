"""Publish a finished file or folder: give it its final name without replacing anything, unless that is allowed.

The last component of a path is never followed if it is a link: a link counts as a file that is there.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vidinv import process
from vidinv.errors import OutputUnwritable
from vidinv.fileio.drafts import draft_path

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.EISDIR, errno.ENOTDIR)  # errors by which a name is in use
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
Note = Callable[[bytes], object]


def identity(path: Path) -> bytes:
    """What identifies a file or folder across a rename: device, inode and modification time. Raises OSError."""
    return _identity(os.stat(path, follow_symlinks=False))


def check_free(path: Path, *, overwrite: bool = False, remedy: str = "give --overwrite or another name") -> None:
    """Raise OutputUnwritable if `path` cannot be written without harm to what is there.

    A file or a link counts, also one that points nowhere, unless `overwrite` allows replacing it; a folder, a pipe or a
    device always counts.
    """
    if path.is_dir():
        raise OutputUnwritable(f"{path} is a folder", remedy="give another name")
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputUnwritable(f"{path} cannot be written ({error.strerror})", remedy="give another name") from error
    if not overwrite:
        raise OutputUnwritable(f"{path} exists", remedy=remedy)
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        raise OutputUnwritable(f"{path} is not a regular file", remedy="give another name")


def publish(made: Path, path: Path, *, overwrite: bool = False, note: Note = lambda identity: None) -> None:
    """Rename the file or folder `made` to `path`; with `overwrite` a file or link that has the name is replaced.

    `note` receives the identity of everything that is about to get the name, so that a caller that is killed can
    recognise it. On another disk `made` is copied there first, readable only by its owner, and then removed. Raises
    OSError, with one of TAKEN as its errno if the name is in use; `path` is then unchanged and `made` still there.
    """
    with _folder(made.parent, NO_FOLLOW) as here, _folder(path.parent) as there:
        note(identity(made))
        try:
            if made.is_dir():
                _move_folder(made, path, here, there, note)
            elif overwrite:
                os.replace(made.name, path.name, src_dir_fd=here, dst_dir_fd=there)
            else:
                _link(made, path, here, there, note)
            return
        except OSError as error:
            if error.errno != errno.EXDEV or made.is_dir():
                raise
    copied = draft_path(path)
    try:
        with made.open("rb") as source, os.fdopen(_create(copied), "wb") as target:
            shutil.copyfileobj(source, target)
            target.flush()
            os.fsync(target.fileno())
        publish(copied, path, overwrite=overwrite, note=note)
    finally:
        copied.unlink(missing_ok=True)
    made.unlink()


def publish_or_keep(made: Path, path: Path) -> None:
    """Publish `made` as `path`; if the name is in use by now, keep it next to `path` under another one.

    Raises OutputUnwritable that names what was kept, OSError for other failures.
    """
    try:
        publish(made, path)
    except OSError as error:
        if error.errno not in TAKEN:
            raise
        kept = path.with_name(f"{path.stem[:40]}.kept-{uuid.uuid4().hex[:6]}{path.suffix}")
        publish(made, kept)
        raise OutputUnwritable(
            f"{path} exists: it was made while this command ran", remedy=f"the result is kept as {kept}"
        ) from error


def _link(made: Path, path: Path, here: int, there: int, note: Note) -> None:
    """Move a file to a name that must be free: by a hard link, by an exclusive rename, or over a file created first."""
    try:
        os.link(made.name, path.name, src_dir_fd=here, dst_dir_fd=there, follow_symlinks=False)
    except FileExistsError:
        if identity(made) != _identity(os.stat(path.name, dir_fd=there, follow_symlinks=False)):
            raise  # otherwise NFS has repeated a request that had succeeded
        os.unlink(made.name, dir_fd=here)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if process.rename_exclusively(made.name, path.name, here, there):
            return
        empty = os.open(path.name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | NO_FOLLOW, 0o600, dir_fd=there)
        note(_identity(os.fstat(empty)))  # this process owns the name now
        os.close(empty)
        try:
            os.replace(made.name, path.name, src_dir_fd=here, dst_dir_fd=there)
        except OSError:
            with suppress(OSError):
                os.unlink(path.name, dir_fd=there)
            raise
    else:
        os.unlink(made.name, dir_fd=here)


def _move_folder(made: Path, path: Path, here: int, there: int, note: Note) -> None:
    """Move a folder to a name that must be free; if no rename can be exclusive, over a folder that is created first."""
    if process.rename_exclusively(made.name, path.name, here, there):
        return
    os.mkdir(path.name, dir_fd=there)
    note(_identity(os.stat(path.name, dir_fd=there, follow_symlinks=False)))
    os.replace(made.name, path.name, src_dir_fd=here, dst_dir_fd=there)  # fails if somebody has filled it


def _create(path: Path) -> int:
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | NO_FOLLOW, 0o600)


def _identity(known: os.stat_result) -> bytes:
    return f"{known.st_dev} {known.st_ino} {known.st_mtime_ns}".encode()


@contextmanager
def _folder(path: Path, flags: int = 0) -> Iterator[int]:
    """The handle of a folder."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | flags)
    try:
        yield handle
    finally:
        os.close(handle)
