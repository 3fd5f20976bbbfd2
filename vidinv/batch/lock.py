"""Lock the folder of a batch, so that only one batch works on it at a time.

In a local folder the kernel holds a file lock until the last process of the batch ends. Shared storage has no reliable
locks (NFS) or none at all (object stores): there a small lease file names the holder and its expiry, and the holder
renews it every few seconds. If two batches take the lease at the same moment, both read it again a little later and
only the one that it names continues. A holder that was suspended beyond the expiry finds another name and stops; both
write equal outputs atomically, so only work is lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidinv import fileio, process
from vidinv.batch import storage
from vidinv.errors import OutputUnwritable

LOCK, LEASE = "batch.lock", "batch.lease"
HOLDER = "process "  # how the content of a lock begins


@dataclass(frozen=True)
class HeldFolder:
    """The lock of a batch folder: a file descriptor that workers keep open as well, or a lease that can be `lost`."""

    lock: int | None = None
    lost: threading.Event | None = None

    def check(self) -> None:
        """Raise OutputUnwritable if another batch has taken over the folder."""
        if self.lost is not None and self.lost.is_set():
            raise OutputUnwritable("another batch has taken over the folder", remedy="let it finish")


@contextmanager
def lock_folder(folder: Path, patience: float = 10.0) -> Iterator[HeldFolder]:
    """Lock a local folder. Raises OutputUnwritable if another batch holds it, or its lock is a file of the user's.

    Workers of a batch that was just killed get `patience` seconds to end.
    """
    with fileio.writing(folder / LOCK):
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | fileio.NO_FOLLOW
        lock = os.open(folder / LOCK, flags, 0o666)
    try:
        _check_lock(lock, folder)
        _lock(lock, folder, patience)
        with fileio.writing(folder / LOCK):
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{HOLDER}{os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield HeldFolder(lock)
    finally:
        os.close(lock)


def _check_lock(lock: int, folder: Path) -> None:
    """Raise OutputUnwritable if the file in the place of the lock was not written by a batch."""
    is_file = stat.S_ISREG(os.fstat(lock).st_mode)
    if not is_file or os.pread(lock, len(HOLDER), 0) not in (b"", HOLDER.encode()):
        raise OutputUnwritable(
            f"{folder / LOCK} is not the lock of a batch", remedy="move it away, or choose another -o"
        )


def _lock(lock: int, folder: Path, patience: float) -> None:
    until = time.monotonic() + patience
    while True:
        if process.lock_descriptor(lock):
            return
        who = (folder / LOCK).read_text(encoding="utf-8").strip()
        if _is_alive(who) or time.monotonic() > until:
            raise OutputUnwritable(
                f"{folder} is in use by another batch ({who})", remedy="wait for it, or choose another -o"
            )
        time.sleep(0.1)


def _is_alive(who: str) -> bool:
    """Whether the process that is named in the lock file runs; if not, only its workers hold the lock."""
    words = who.split()
    with contextlib.suppress(IndexError, ValueError, ProcessLookupError, PermissionError):
        os.kill(int(words[1]), 0)
        return True
    return False


@contextmanager
def lease_folder(folder: str, seconds: float = 60.0) -> Iterator[HeldFolder]:
    """Take the lease of a folder on shared storage for `seconds`; it is renewed every third of that.

    Raises OutputUnwritable if another batch holds it.
    """
    place, me = storage.join(folder, LEASE), uuid.uuid4().hex
    known = _holder(place)
    if known is not None and known["until"] > time.time():
        left = known["until"] - time.time()
        raise OutputUnwritable(
            f"{folder} is in use by another batch ({known['who']}; its lease ends in {left:.0f} s)",
            remedy="wait for it, or choose another -o",
        )
    _sign(place, me, seconds)
    time.sleep(min(1.0, seconds / 10))
    if not _is_mine(place, me):
        raise OutputUnwritable(f"another batch has just started to use {folder}", remedy="choose another -o")
    lost, done = threading.Event(), threading.Event()
    renewing = threading.Thread(target=_renew, args=(place, me, seconds, lost, done), name="lease", daemon=True)
    renewing.start()
    try:
        yield HeldFolder(lost=lost)
    finally:
        done.set()
        renewing.join()
        if not lost.is_set():
            storage.remove(place)


def _renew(place: str, me: str, seconds: float, lost: threading.Event, done: threading.Event) -> None:
    signed = time.monotonic()
    while not done.wait(seconds / 3):
        try:
            if not _is_mine(place, me):
                lost.set()
                return
            _sign(place, me, seconds)
            signed = time.monotonic()
        except OutputUnwritable:  # the storage may become available again
            if time.monotonic() - signed > seconds:
                lost.set()
                return


def _sign(place: str, me: str, seconds: float) -> None:
    who = f"process {os.getpid()} on {socket.gethostname()}"
    storage.write_small(place, json.dumps({"me": me, "who": who, "until": time.time() + seconds}).encode())


def _is_mine(place: str, me: str) -> bool:
    known = _holder(place)
    return known is not None and known["me"] == me


def _holder(place: str) -> dict[str, Any] | None:
    data = storage.read_small(place)
    return None if data is None else json.loads(data)
