"""Write and read checksummed records: sealed files and journal lines that start with their SHA-256.

A record that a killed run, a full disk or a bad sector damaged reads as missing and is made again. The checksum of a
file covers its name as well, so that files cannot be exchanged.
"""

from __future__ import annotations

import os
from pathlib import Path

from vidinv.fileio.atomic_write import write_atomically, writing
from vidinv.fileio.digests import sha256_of_bytes
from vidinv.fileio.regular_file import open_regular

DIGITS = 64  # length of a SHA-256 in hexadecimal


def write_sealed(path: Path, data: bytes) -> None:
    """Write sealed `data` to `path` atomically; it is on the disk when this returns.

    Raises OutputUnwritable.
    """
    write_atomically(path, _digest(os.fsencode(path.name) + data) + data, synced=True)


def read_sealed(path: Path) -> bytes | None:
    """The data of the sealed file `path`; None if it is missing or damaged."""
    try:
        with open_regular(path) as stream:
            digest, data = stream.read(DIGITS), stream.read()
    except FileNotFoundError:
        return None
    return data if digest == _digest(os.fsencode(path.name) + data) else None


def sealed_line(text: str) -> bytes:
    """A sealed line of `text`, which must not contain a line break."""
    data = text.encode()
    return _digest(data) + b" " + data + b"\n"


def sealed_lines(data: bytes) -> list[str]:
    """The texts of the sealed lines before the first damaged one."""
    found = []
    for each in data.split(b"\n"):
        text = each[DIGITS + 1 :]
        if each[:DIGITS] != _digest(text):
            break
        found.append(text.decode())
    return found


def append_sealed_line(path: Path, text: str) -> None:
    """Append a sealed line of `text` to the file; it is on the disk when this returns. Raises OutputUnwritable."""
    with writing(path), path.open("ab") as stream:
        stream.write(sealed_line(text))
        stream.flush()
        os.fsync(stream.fileno())


def _digest(data: bytes) -> bytes:
    return sha256_of_bytes(data).encode()
