"""One batch at a time works on a folder; a second start is refused and told who does.

In a folder of this machine the kernel keeps a lock for as long as any process of the batch lives. On storage that
machines share, where locks and SQLite are not to be trusted (NFS) or not there (object stores), a small file says who
holds it and until when; its holder writes it anew every few seconds. Two that take it at one moment both look again a
little later, and the one whose name stands goes on. A holder that was suspended past its time finds another's name and
stops; what both made meanwhile is put whole under one name, and is equal, so that only the work is lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidinv import process
from vidinv.batch import storage
from vidinv.errors import OutputUnwritable

LOCK, LEASE = "batch.lock", "batch.lease"


@dataclass(frozen=True)
class HeldFolder:
    """A folder that this batch holds: the lock's descriptor, which workers keep open as well, where there is one."""

    lock: int | None = None
    lost: threading.Event | None = None

    def check(self) -> None:
        """Raise OutputUnwritable where another batch has taken the folder over."""
        if self.lost is not None and self.lost.is_set():
            raise OutputUnwritable("another batch has taken the folder over", remedy="let it finish")


@contextmanager
def locked(folder: Path, patience: float = 10.0) -> Iterator[HeldFolder]:
    """The lock of a folder of this machine. Raises OutputUnwritable where a batch holds it.

    The workers of one that was just killed are waited for, for `patience` seconds.
    """
    with (folder / LOCK).open("a+", encoding="utf-8") as lock:
        _lock(lock.fileno(), folder, patience)
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        lock.flush()
        yield HeldFolder(lock.fileno())


def _lock(lock: int, folder: Path, patience: float) -> None:
    until = time.monotonic() + patience
    while True:
        if process.lock_descriptor(lock):
            return
        who = (folder / LOCK).read_text(encoding="utf-8").strip()
        if _is_alive(who) or time.monotonic() > until:
            raise OutputUnwritable(
                f"{folder} is being worked on by another batch ({who})", remedy="wait for it, or choose another -o"
            )
        time.sleep(0.1)


def _is_alive(who: str) -> bool:
    """Whether the process that wrote itself into the lock is there; else only what it left behind holds it."""
    words = who.split()
    with contextlib.suppress(IndexError, ValueError, ProcessLookupError, PermissionError):
        os.kill(int(words[1]), 0)
        return True
    return False


@contextmanager
def leased(folder: str, seconds: float = 60.0) -> Iterator[HeldFolder]:
    """The lease of a folder on shared storage, good for `seconds` and renewed thrice as often.

    Raises OutputUnwritable where another batch holds it.
    """
    place, me = storage.join(folder, LEASE), uuid.uuid4().hex
    known = _holder(place)
    if known is not None and known["until"] > time.time():
        left = known["until"] - time.time()
        raise OutputUnwritable(
            f"{folder} is being worked on by another batch ({known['who']}; its lease ends in {left:.0f} s)",
            remedy="wait for it, or choose another -o",
        )
    _sign(place, me, seconds)
    time.sleep(min(1.0, seconds / 10))
    if not _is_mine(place, me):
        raise OutputUnwritable(f"another batch has just begun to work on {folder}", remedy="choose another -o")
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
        except OutputUnwritable:  # the storage may come back
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
