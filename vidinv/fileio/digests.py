"""Compute SHA-256 digests of bytes, files and folders, in hexadecimal."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from vidinv.fileio.atomic_write import sync

_BLOCK = 1 << 20  # bytes


def sha256_of_bytes(data: bytes | str) -> str:
    """The SHA-256 of bytes, or of a text as UTF-8; names that are not UTF-8 count by their bytes."""
    return hashlib.sha256(data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data).hexdigest()


def sha256_of_blocks(blocks: Iterable[bytes]) -> str:
    """The SHA-256 of the concatenated blocks."""
    return sha256_digest(blocks).hex()


def sha256_digest(blocks: Iterable[bytes]) -> bytes:
    """The SHA-256 of the concatenated blocks as 32 bytes."""
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.digest()


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes. Raises OSError."""
    return sha256_of_blocks(_blocks(path))


def content_sha256(source: Path) -> str:
    """The SHA-256 of a file's bytes; of a folder, over the names, sizes and bytes of its files. Raises OSError."""
    return sha256_of_blocks(_folder_blocks(source)) if source.is_dir() else sha256(source)


def has_sha256(path: Path, digest: str) -> bool:
    """Whether there is a file at `path` whose bytes have this SHA-256."""
    return path.exists() and sha256(path) == digest


def synced_sha256(path: Path) -> str:
    """Flush a file to the disk and return its SHA-256. Raises OSError."""
    sync(path)
    return sha256(path)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            yield block


def _folder_blocks(folder: Path) -> Iterator[bytes]:
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        yield os.fsencode(path.name) + f"\0{path.stat().st_size}\0".encode()
        yield from _blocks(path)
