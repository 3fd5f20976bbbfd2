"""What this process asks of the operating system: allocator, threads, cores, time, memory and file locks.

Settings are made where a process starts, never on import. Every call that only POSIX has goes through this module.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # glibc's malloc.h


def tune_process() -> None:
    """Set up this process, before torch is imported.

    Otherwise large activations are mapped and page-faulted on every call, which costs several times the arithmetic.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(cores()))
    os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder logs errors only
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, -1)
    libc.mallopt(M_TOP_PAD, 64 << 20)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_seconds() -> float:
    """The time that all threads of this process have spent on the cores, in seconds."""
    return time.process_time()


def peak_memory_mb() -> int:
    """The most memory that this process has held, in MiB; 0 where the system does not say (Windows)."""
    try:
        import resource
    except ImportError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / (1 << 20))


def lock_descriptor(descriptor: int) -> bool:
    """Lock an open file until the last process that has the descriptor open ends; False where another holds the lock.

    A system or a disk without such locks lets every process have it, with a warning.
    """
    import filelock  # not at the top: settings are made before anything that takes time is imported

    try:
        return filelock.lock_descriptor(descriptor, blocking=False)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK):
            raise
        warnings.warn("files cannot be locked here: do not start two runs on one output", stacklevel=2)
        return True


def use_threads(count: int) -> None:
    """Set the number of torch threads for operations of the calling thread."""
    import torch

    torch.get_num_threads()  # a thread's first operation would else take over what another thread set last
    torch.set_num_threads(count)


@contextmanager
def restored_threads() -> Iterator[int]:
    """Yield torch's number of threads and restore it at the end, since later threads inherit it."""
    import torch

    count = torch.get_num_threads()
    try:
        yield count
    finally:
        use_threads(count)


@contextmanager
def without_real_time_threads() -> Iterator[None]:
    """Give back the caller's scheduling to every thread of this process that a library made a real-time one inside.

    SVT-AV1 raises its own threads and the calling one to SCHED_FIFO 99 when root runs it (as in a container). Such a
    thread, and every process that it starts, holds its core against all others until it sleeps.
    """
    threads = Path("/proc/self/task")
    if not hasattr(os, "sched_setscheduler") or not threads.is_dir():
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for thread in (int(entry.name) for entry in threads.iterdir()):
            with suppress(ProcessLookupError, PermissionError):  # a thread that has ended meanwhile
                if os.sched_getscheduler(thread) in (os.SCHED_FIFO, os.SCHED_RR):
                    os.sched_setscheduler(thread, policy, parameters)
