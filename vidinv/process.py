"""Call the operating system: allocator, threads, cores, time, memory and file locks.

Settings are made at the start of a process, never on import. All POSIX-only calls are in this module.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import stat
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
RENAME_NOREPLACE = 1  # linux/fs.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # glibc's malloc.h


def tune_process() -> None:
    """Set up allocator and threads of this process, before torch is imported.

    With default settings malloc maps large activations on every call, and the page faults cost more than the maths.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(cores()))
    if (folder := temporary_folder()) is not None:
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder)  # for this process and those that it starts
    os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder logs errors only
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, -1)
    libc.mallopt(M_TOP_PAD, 64 << 20)


def temporary_folder() -> Path | None:
    """The folder for temporary files: that of `tempfile`, but the shared memory before the working folder.

    A container may have no other place that can be written. None if there is no place at all.
    """
    try:
        found = Path(tempfile.gettempdir())
    except OSError:
        found = None
    named = [os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")]
    if found is not None and (str(found) in ("/tmp", "/var/tmp", "/usr/tmp") or any(named)):
        return found
    return SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK | os.X_OK) else found


def private_folder() -> Path | None:
    """TMPDIR/vidinv-UID, a folder of this user alone, which is made if it is missing.

    None where it cannot be made, and where it is a link, belongs to another user or can be entered by others.
    """
    base = temporary_folder()
    if base is None or not hasattr(os, "getuid"):
        return None
    place = base / f"vidinv-{os.getuid()}"
    try:
        with suppress(FileExistsError):
            place.mkdir(0o700)
        found = place.lstat()
    except OSError:
        return None
    is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return place if is_own else None


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_seconds() -> float:
    """CPU time of all threads of this process, in seconds."""
    return time.process_time()


def peak_memory_mb() -> int:
    """Peak resident memory of this process in MiB; 0 if the system does not report it (Windows)."""
    try:
        import resource
    except ImportError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / (1 << 20))


def lock_descriptor(descriptor: int) -> bool:
    """Lock an open file until the last process that holds the descriptor ends; False if another process has the lock.

    On a system or disk without such locks it warns and returns True.
    """
    import filelock  # not at the top: tune_process runs before slow imports

    try:
        return filelock.lock_descriptor(descriptor, blocking=False)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK):
            raise
        warnings.warn("this disk does not support file locks: do not start two runs with the same output", stacklevel=2)
        return True


def rename_exclusively(source: str, target: str, source_folder: int, target_folder: int) -> bool:
    """Rename a file or folder between two open folders, in one step, unless the target exists.

    Returns False, and does nothing, if the system or the disk has no such operation. Raises OSError, FileExistsError
    if the target exists.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:
        return False
    sys.audit("os.rename", source, target, source_folder, target_folder)
    if rename(source_folder, os.fsencode(source), target_folder, os.fsencode(target), RENAME_NOREPLACE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):
        return False
    raise OSError(number, os.strerror(number), target)


def use_threads(count: int) -> None:
    """Set the number of torch threads for operations of the calling thread."""
    import torch

    torch.get_num_threads()  # initialises the thread, which would otherwise copy a later setting of another thread
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
            with suppress(ProcessLookupError, PermissionError):  # the thread has ended
                if os.sched_getscheduler(thread) in (os.SCHED_FIFO, os.SCHED_RR):
                    os.sched_setscheduler(thread, policy, parameters)
