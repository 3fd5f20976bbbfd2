"""Read and write files by path or by URL, such as `s3://bucket/clips` or `file:///mnt/clips`.

Both become `upath.UPath`s, so that the same operations serve all kinds of storage.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from upath import UPath

from vidinv import extras, fileio
from vidinv.errors import InputUnreadable, OutputUnwritable, UsageError, VidinvError

LOCAL = ("", "file", "local")
OBJECTS = ("s3", "s3a", "gs", "gcs", "abfs", "az", "memory")  # uploads to these are atomic
NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "lustre", "glusterfs", "ceph", "beegfs", "fuse.sshfs")
LARGEST_SMALL = 1 << 29  # bytes; the journal of 100,000 clips has some 200 MB
MAGIC = re.compile(r"[*?\[]")  # characters of a glob pattern


def is_url(text: str) -> bool:
    """Whether `text` is a URL and not a path."""
    return "://" in text


def join(folder: str, name: str) -> str:
    """`name` in a folder, which is a path or a URL."""
    return f"{folder.rstrip('/')}/{name}"


def is_network(path: Path, mounts: str = "/proc/self/mounts") -> bool:
    """Whether a path is on a network file system, where SQLite and flock are unreliable."""
    try:
        table = [line.split()[1:3] for line in Path(mounts).read_text(encoding="utf-8").splitlines()]
    except OSError:
        return False
    here = path.absolute()
    holding = [(len(point), kind) for point, kind in table if here.is_relative_to(point.replace("\\040", " "))]
    return max(holding, default=(0, ""))[1] in NETWORK


def exists(place: str) -> bool:
    """Whether this path or URL exists."""
    with _reading(place) as path:
        return path.exists()


def is_folder(place: str) -> bool:
    """Whether this is an existing folder."""
    with _reading(place) as path:
        return path.is_dir()


def list_files(folder: str) -> Iterator[str]:
    """Every file in a folder and its subfolders, in order of name."""
    if is_url(folder):
        with _reading(folder) as path:
            found = sorted(path.fs.find(path.path))  # one request, where a walk needs one per folder
            yield from (str(path / each.removeprefix(path.path).lstrip("/")) for each in found)
        return
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.endswith(".vidinv"))
        yield from (os.path.join(parent, name) for name in sorted(names) if not name.startswith("."))


def list_matches(pattern: str) -> Iterator[str]:
    """The files that match a path or URL with a glob pattern, in order of name."""
    if not is_url(pattern):
        yield from sorted(path for path in glob.iglob(pattern, recursive=True) if os.path.isfile(path))
        return
    root = MAGIC.split(pattern)[0].rpartition("/")[0]
    with _reading(root) as path:
        yield from sorted(str(each) for each in path.glob(pattern[len(root) + 1 :]) if each.is_file())


def is_inside(place: str, folder: str) -> bool:
    """Whether `place` is inside `folder`."""
    if is_url(place) or is_url(folder):
        return place.startswith(f"{folder.rstrip('/')}/")
    return Path(place).absolute().is_relative_to(Path(folder).absolute())


def fetch(place: str, target: Path) -> None:
    """Copy the file at a path or URL to a local file. Raises InputUnreadable."""
    with _reading(place) as path:
        path.fs.get_file(path.path, str(target))


def read_small(place: str, most: int = LARGEST_SMALL) -> bytes | None:
    """The bytes of a small file; None if it does not exist. Raises InputUnreadable, also for more than `most` bytes."""
    with _reading(place) as path:
        path.fs.invalidate_cache()
        try:
            if path.protocol in LOCAL:
                return fileio.read_regular(Path(path.path), most)
            with path.open("rb") as stream:
                data = stream.read(most + 1)
        except FileNotFoundError:
            return None
        if len(data) > most:
            raise ValueError(f"larger than {most} bytes")
        return bytes(data)


def names(folder: str) -> list[str]:
    """The names of the files in a folder; empty if the folder does not exist."""
    with _reading(folder) as path:
        path.fs.invalidate_cache()
        return sorted(each.name for each in path.iterdir()) if path.is_dir() else []


def upload(made: Path, place: str) -> None:
    """Copy a local file to a path or URL atomically. Raises OutputUnwritable."""
    with _writing(place) as path, _whole(path) as draft:
        if isinstance(draft, UPath):
            draft.fs.put_file(str(made), draft.path)
        else:
            shutil.copyfile(made, draft)


def write_small(place: str, data: bytes) -> None:
    """Write bytes to a path or URL atomically. Raises OutputUnwritable."""
    with _writing(place) as path, _whole(path) as draft:
        draft.write_bytes(data)


def make_private_folder(folder: str) -> None:
    """Create a folder that only its owner can open. For a URL this does nothing: the storage controls access."""
    if not is_url(folder):
        Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        Path(folder).chmod(0o700)


def remove(place: str) -> None:
    """Remove a file, or a folder with its contents, if it exists."""
    with _writing(place) as path:
        path.fs.invalidate_cache()
        if path.exists():
            path.fs.rm(path.path, recursive=True)


@contextmanager
def _whole(path: UPath) -> Iterator[Path | UPath]:
    """Yield a path to write to; it becomes `path` only if the block succeeds."""
    if path.protocol in LOCAL:
        with fileio.replacing(Path(path.path), parents=True) as local:
            yield local
        return
    if path.protocol in OBJECTS:
        yield path
        return
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield draft
        path.fs.mv(draft.path, path.path)
    finally:
        if draft.exists():
            draft.unlink()


@contextmanager
def _reading(place: str) -> Iterator[UPath]:
    with _at(place, InputUnreadable, "read") as path:
        yield path


@contextmanager
def _writing(place: str) -> Iterator[UPath]:
    with _at(place, OutputUnwritable, "written") as path:
        yield path


@contextmanager
def _at(place: str, refused: type[VidinvError], what: str) -> Iterator[UPath]:
    """The path or URL as a UPath; an error of its storage becomes `refused`."""
    try:
        yield UPath(place if is_url(place) else Path(place))
    except ImportError as error:
        if place.startswith(("s3://", "s3a://")):
            raise extras.missing("s3fs", f"reaching {place}") from error
        raise UsageError(f"{place}: {error}", remedy="install the package that fsspec needs for it") from error
    except ValueError as error:
        raise UsageError(f"{place}: {error}", remedy="give a path or a URL that fsspec knows") from error
    except VidinvError:
        raise
    except Exception as error:  # each kind of storage raises its own errors
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise refused(
            f"{place} cannot be {what} ({reason})", remedy="check the address and your credentials"
        ) from error
