"""Tell an exhausted memory from other failures, whatever library meets it first, and say what lowers the need."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from vidinv.errors import InputUnreadable, OutOfMemory, OutputUnwritable

SHORT = 256 << 20  # bytes; with less left, an allocation that failed is not the file's fault
STACKS = 64 << 20  # bytes
LEAST_ADDRESS_SPACE = 1900 << 20  # bytes that the networks' libraries map before anything is computed
REMEDY = "lower it with --quality fast and --set batch=1, or allow more memory"  # measured: docs/security.md
_STATUS, _MACHINE = Path("/proc/self/status"), Path("/proc/meminfo")
# Texts of torch, oneDNN, OpenCV, OpenVINO, Python's threads and the dynamic linker for a failed allocation.
_TEXTS = re.compile(
    r"DefaultCPUAllocator|not enough memory|out of memory|cannot allocate memory|can't allocate memory|bad.?alloc|"
    r"insufficient memory|failed to allocate|can't start new thread|failed to map segment",
    re.IGNORECASE,
)
_WHEN_SHORT = re.compile(r"could not (create|execute) a primitive|Resource temporarily unavailable", re.IGNORECASE)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory was exhausted: by the class and text of `error`, or of what a media error was raised from.

    A decoder also reports a lack of memory for a size that a file declares; it counts only while memory is short.
    """
    if isinstance(error, OutOfMemory):
        return True
    if isinstance(error, InputUnreadable | OutputUnwritable):
        return error.__cause__ is not None and is_out_of_memory(error.__cause__)
    if isinstance(error, MemoryError):
        return is_short() if type(error).__module__.startswith("av.") else True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM or (error.errno == errno.EAGAIN and is_short())
    if isinstance(error, RuntimeError | ImportError | OSError) or type(error).__module__.startswith("cv2"):
        text = str(error)
        return bool(_TEXTS.search(text)) or (bool(_WHEN_SHORT.search(text)) and is_short())
    return False


def raise_if_out_of_memory(error: Exception) -> None:
    """Raise OutOfMemory for a decoder's error that a lack of memory explains, so that no file is called damaged."""
    if is_out_of_memory(error):
        raise OutOfMemory("out of memory", remedy=REMEDY) from error


def is_short() -> bool:
    """Whether less than SHORT is left to this process, of its address space or of the machine's memory."""
    return min(_address_space_left(), _machine_left()) < SHORT


def check_threads() -> None:
    """Raise OutOfMemory if less is left than a few threads take: Python waits for ever for one that cannot start."""
    if min(_address_space_left(), _machine_left()) < STACKS:
        raise OutOfMemory("out of memory", remedy=REMEDY)


def check_address_space() -> None:
    """Raise OutOfMemory if the process may not map what the networks' libraries need; they would end it themselves."""
    limit = _address_space_limit()
    if limit is not None and limit < LEAST_ADDRESS_SPACE:
        raise OutOfMemory(
            f"out of memory: this process may use {limit >> 20} MB, and loading the networks takes "
            f"{LEAST_ADDRESS_SPACE >> 20} MB",
            remedy="raise the limit (ulimit -v); if it is then still short, " + REMEDY.partition(", or")[0],
        )


def _address_space_limit() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _address_space_left() -> float:
    limit = _address_space_limit()
    return float("inf") if limit is None else limit - _kilobytes(_STATUS, "VmSize", 0) * 1024


def _machine_left() -> float:
    return _kilobytes(_MACHINE, "MemAvailable", float("inf")) * 1024


def _kilobytes(table: Path, name: str, otherwise: float) -> float:
    """The entry of a table of /proc in KiB; `otherwise` where there is none."""
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB", table.read_text(encoding="ascii", errors="replace"), re.MULTILINE)
    except OSError:
        return otherwise
    return int(found[1]) if found else otherwise
