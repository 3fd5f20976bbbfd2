"""Files here and elsewhere: a path, or a URL that fsspec reads (`s3://bucket/clips`, `file:///mnt/shared/clips`)."""

from __future__ import annotations

import glob
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec

from vidinv.errors import InputUnreadable, OutputUnwritable, UsageError, VidinvError

OBJECTS = ("s3", "s3a", "gs", "gcs", "abfs", "az", "memory")  # what is put there appears whole or not at all
NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "lustre", "glusterfs", "ceph", "beegfs", "fuse.sshfs")


def is_url(text: str) -> bool:
    """Whether this is a URL and no path."""
    return "://" in text


def join(folder: str, name: str) -> str:
    """`name` in a folder, which is a path or a URL."""
    return f"{folder.rstrip('/')}/{name}"


def is_network(path: Path, mounts: str = "/proc/self/mounts") -> bool:
    """Whether a path lies on a file system that machines share, where SQLite and flock are not to be trusted."""
    try:
        table = [line.split()[1:3] for line in Path(mounts).read_text(encoding="utf-8").splitlines()]
    except OSError:
        return False
    here = path.absolute()
    holding = [(len(point), kind) for point, kind in table if here.is_relative_to(point.replace("\\040", " "))]
    return max(holding, default=(0, ""))[1] in NETWORK


def exists(place: str) -> bool:
    """Whether there is anything under this path or URL."""
    if not is_url(place):
        return os.path.exists(place)
    with _reading(place) as (files, path):
        return bool(files.exists(path))


def is_folder(place: str) -> bool:
    """Whether this is a folder that is there."""
    if not is_url(place):
        return os.path.isdir(place)
    with _reading(place) as (files, path):
        return bool(files.isdir(path))


def below(folder: str) -> Iterator[str]:
    """Every file in a folder and the folders in it, in order of name."""
    if is_url(folder):
        with _reading(folder) as (files, path):
            yield from (files.unstrip_protocol(each) for each in sorted(files.find(path)))
        return
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.endswith(".vidinv"))
        yield from (os.path.join(parent, name) for name in sorted(names) if not name.startswith("."))


def matching(pattern: str) -> Iterator[str]:
    """The files that a path or URL with a pattern means, in order of name."""
    if not is_url(pattern):
        yield from sorted(path for path in glob.iglob(pattern, recursive=True) if os.path.isfile(path))
        return
    with _reading(pattern) as (files, path):
        yield from (files.unstrip_protocol(each) for each in sorted(files.glob(path)))


def is_inside(place: str, folder: str) -> bool:
    """Whether `place` lies in `folder`."""
    if is_url(place) or is_url(folder):
        return place.startswith(f"{folder.rstrip('/')}/")
    return Path(place).absolute().is_relative_to(Path(folder).absolute())


def fetch(place: str, target: Path) -> None:
    """Copy what lies at a URL to a local file. Raises InputUnreadable."""
    with _reading(place) as (files, path):
        files.get_file(path, str(target))


def read_small(place: str) -> bytes | None:
    """The bytes of a small file; None where there is none."""
    with _reading(place) as (files, path):
        files.invalidate_cache()
        try:
            return bytes(files.cat_file(path))
        except FileNotFoundError:
            return None


def names(folder: str) -> list[str]:
    """The names of the files in a folder; none where there is no such folder."""
    with _reading(folder) as (files, path):
        files.invalidate_cache()
        if not files.exists(path):
            return []
        return sorted(str(each).rstrip("/").rpartition("/")[2] for each in files.ls(path, detail=False))


def put(made: Path, place: str) -> None:
    """Put a local file under a path or URL, whole or not at all. Raises OutputUnwritable."""
    with _writing(place) as (files, path):
        if _protocol(files) in OBJECTS:
            files.put_file(str(made), path)
            return
        files.makedirs(files._parent(path), exist_ok=True)
        partial = f"{path}.{uuid.uuid4().hex[:8]}.part"
        try:
            files.put_file(str(made), partial)
            _rename(files, partial, path)
        finally:
            if files.exists(partial):
                files.rm_file(partial)


def write_small(place: str, data: bytes) -> None:
    """Put some bytes under a path or URL, whole or not at all. Raises OutputUnwritable."""
    with _writing(place) as (files, path):
        if _protocol(files) in OBJECTS:
            files.pipe_file(path, data)
            return
        files.makedirs(files._parent(path), exist_ok=True)
        partial = f"{path}.{uuid.uuid4().hex[:8]}.part"
        files.pipe_file(partial, data)
        _rename(files, partial, path)


def private(folder: str) -> None:
    """Make a folder that its owner alone may open; where access is not by file, that is the storage's own matter."""
    if not is_url(folder):
        Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        Path(folder).chmod(0o700)


def remove(place: str) -> None:
    """Remove a file or a folder and all in it, where it is there."""
    with _writing(place) as (files, path):
        files.invalidate_cache()
        if files.exists(path):
            files.rm(path, recursive=True)


def _rename(files: Any, partial: str, path: str) -> None:
    if _protocol(files) == "file":
        os.replace(partial, path)
    else:
        files.mv(partial, path)


def _protocol(files: Any) -> str:
    return files.protocol if isinstance(files.protocol, str) else str(files.protocol[0])


@contextmanager
def _reading(place: str) -> Iterator[tuple[Any, str]]:
    with _at(place, InputUnreadable, "read") as opened:
        yield opened


@contextmanager
def _writing(place: str) -> Iterator[tuple[Any, str]]:
    with _at(place, OutputUnwritable, "written") as opened:
        yield opened


@contextmanager
def _at(place: str, refused: type[VidinvError], what: str) -> Iterator[tuple[Any, str]]:
    """The file system of a URL and the path in it; what goes wrong there becomes `refused`."""
    try:
        yield fsspec.core.url_to_fs(place)
    except (ImportError, ValueError) as error:
        raise UsageError(
            f"{place}: {error}", remedy="install what fsspec needs for it (s3: pip install s3fs)"
        ) from error
    except VidinvError:
        raise
    except Exception as error:  # every kind of storage has errors of its own
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise refused(f"{place} cannot be {what} ({said})", remedy="check the address and your credentials") from error
