"""Lock the folder of a batch, so that only one batch works on it at a time.

In a local folder the kernel holds a file lock until the last process of the batch ends. Shared storage has no reliable
locks (NFS) or none at all (object stores): there a small lease file names the holder, who writes it again every few
seconds. Another batch watches the file for one period of the lease by its own monotonic clock: a file that changes has
a holder, one that does not is taken over, whatever it says. So no clocks of two machines are compared, and a forged or
damaged lease blocks a folder for two periods at most. If two batches take the lease at the same moment, both read it
again a little later and only the one that it names continues. A holder that was suspended for longer finds another name
and stops; both write equal outputs atomically, so only work is lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import stat
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from vidinv import fileio, process
from vidinv.batch import storage
from vidinv.errors import InputUnreadable, OutputUnwritable

LOCK, LEASE = "batch.lock", "batch.lease"
HOLDER = "process "  # how the content of a lock begins
LARGEST_LEASE = 1 << 12  # bytes
PERIOD = 60.0  # seconds after which a lease that was not renewed is taken over


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
        who = os.pread(lock, 200, 0).decode("utf-8", "replace").partition("\n")[0]
        if _is_alive(who) or time.monotonic() > until:
            raise OutputUnwritable(
                f"{folder} is in use by another batch ({who})", remedy="wait for it, or choose another -o"
            )
        time.sleep(0.1)


def _is_alive(who: str) -> bool:
    """Whether the process that is named in the lock file runs; if not, only its workers hold the lock."""
    named = re.match(r"process (\d{1,9}) on ", who, re.ASCII)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if named:
            os.kill(int(named[1]), 0)
            return True
    return False


@contextmanager
def lease_folder(folder: str, seconds: float = PERIOD) -> Iterator[HeldFolder]:
    """Take the lease of a folder on shared storage for `seconds`; it is renewed every third of that.

    A lease that is there is watched for its own period first, at most for twice `seconds`. Raises OutputUnwritable if
    another batch renews it.
    """
    place, me = storage.join(folder, LEASE), uuid.uuid4().hex
    _watch(place, folder, seconds)
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
    signed, turn = time.monotonic(), 0
    while not done.wait(seconds / 3):
        try:
            if not _is_mine(place, me):
                lost.set()
                return
            turn += 1
            _sign(place, me, seconds, turn)
            signed = time.monotonic()
        except OutputUnwritable:  # the storage may become available again
            if time.monotonic() - signed > seconds:
                lost.set()
                return


def _watch(place: str, folder: str, seconds: float) -> None:
    """Wait until a lease that is there is known to have no holder. Raises OutputUnwritable if it changes meanwhile."""
    before = _read(place)
    if before is None:
        return
    lease = _parse(before)
    period = seconds if lease is None else min(lease.seconds, 2 * seconds)
    until = time.monotonic() + period
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, seconds / 10))
        now = _read(place)
        if now is None:  # its holder has finished
            return
        if now != before:
            lease = _parse(now)
            who = "" if lease is None else f" ({lease.who[:200]})"
            raise OutputUnwritable(
                f"{folder} is in use by another batch{who}", remedy="wait for it, or choose another -o"
            )


@dataclass(frozen=True)
class _Lease:
    """What a lease says: the holder by a random name and in words, its period, and how often it was written."""

    me: str
    who: str
    seconds: float
    turn: int = 0


def _sign(place: str, me: str, seconds: float, turn: int = 0) -> None:
    lease = _Lease(me, f"process {os.getpid()} on {socket.gethostname()}", seconds, turn)
    storage.write_small(place, json.dumps(asdict(lease)).encode())


def _is_mine(place: str, me: str) -> bool:
    data = _read(place)
    lease = None if data is None else _parse(data)
    return lease is not None and lease.me == me


def _parse(data: bytes) -> _Lease | None:
    """What a lease says; None if it is damaged or of another version."""
    try:
        lease = fileio.record_of(_Lease, fileio.parse_json(data))
    except fileio.BadJson:
        return None
    return lease if lease.seconds > 0 else None


def _read(place: str) -> bytes | None:
    try:
        return storage.read_small(place, LARGEST_LEASE)
    except InputUnreadable as error:
        raise OutputUnwritable(error.what, remedy="remove it, or choose another -o") from error
