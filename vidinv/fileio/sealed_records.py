"""Checksummed records: a SHA-256 stands in front of every sealed file and of every line of a journal.

What a killed run, a full disk or a bad sector left incomplete reads as missing, and is made again. The checksum of a
file covers its name as well, so that no file can take the place of another.
"""

from __future__ import annotations

import os
from pathlib import Path

from vidinv.fileio.atomic_write import write_atomically, writing
from vidinv.fileio.digests import sha256_of_bytes

DIGITS = 64  # of a SHA-256, in hexadecimal


def write_sealed(path: Path, data: bytes) -> None:
    """Write sealed `data` to `path`, whole or not at all; it is on the disk when this returns.

    Raises OutputUnwritable.
    """
    write_atomically(path, _digest(path.name.encode() + data) + data, synced=True)


def read_sealed(path: Path) -> bytes | None:
    """The data that were sealed under `path`; None where there are none, or where they have changed."""
    try:
        with path.open("rb") as stream:
            digest, data = stream.read(DIGITS), stream.read()
    except FileNotFoundError:
        return None
    return data if digest == _digest(path.name.encode() + data) else None


def sealed_line(text: str) -> bytes:
    """One sealed line of `text`, which has no line break."""
    data = text.encode()
    return _digest(data) + b" " + data + b"\n"


def sealed_lines(data: bytes) -> list[str]:
    """The texts of sealed lines, up to the first that has changed."""
    found = []
    for each in data.split(b"\n"):
        text = each[DIGITS + 1 :]
        if each[:DIGITS] != _digest(text):
            break
        found.append(text.decode())
    return found


def append_sealed_line(path: Path, text: str) -> None:
    """Add a sealed line of `text` to the file; it is on the disk when this returns. Raises OutputUnwritable."""
    with writing(path), path.open("ab") as stream:
        stream.write(sealed_line(text))
        stream.flush()
        os.fsync(stream.fileno())


def _digest(data: bytes) -> bytes:
    return sha256_of_bytes(data).encode()
