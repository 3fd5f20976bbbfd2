"""What a job keeps for itself, whole or not there: a digest in front of every file and every line of the journal.

What a killed run, a full disk or a bad sector left half of reads as nothing, and is made anew. The digest is of a
file's name too, so that none stands for another.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

DIGITS = 64  # of sha256, in hexadecimal


def write_sealed(path: Path, data: bytes) -> None:
    """Put sealed `data` under `path` at once; it is on the disk when this returns. Raises OSError."""
    partial = path.with_name(f"{path.name}.part")
    with partial.open("wb") as stream:
        stream.write(_digest(path.name.encode() + data))
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def read_sealed(path: Path) -> bytes | None:
    """The data that were sealed under `path`; None where there are none, or not as they were."""
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
    """The texts of sealed lines, up to the first that is not as it was."""
    found = []
    for each in data.split(b"\n"):
        text = each[DIGITS + 1 :]
        if each[:DIGITS] != _digest(text):
            break
        found.append(text.decode())
    return found


def sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def content_sha256(source: Path) -> str:
    """The sha256 of a file's bytes; of a folder, over the names, sizes and bytes of the files in it. Raises OSError."""
    if not source.is_dir():
        return sha256(source)
    digest = hashlib.sha256()
    for path in sorted(path for path in source.iterdir() if path.is_file()):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def has_sha256(path: Path, digest: str) -> bool:
    """Whether there is a file at `path` whose bytes have this sha256."""
    return path.exists() and sha256(path) == digest


def synced_sha256(path: Path) -> str:
    """The sha256 of a file that is on the disk when this returns. Raises OSError."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())
    return sha256(path)


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()
