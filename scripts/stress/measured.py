"""Measure the peak memory of a part of a process, on Linux."""

from __future__ import annotations

from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def reset_peak() -> int:
    """Forget the peak of this process's resident memory; the memory that it holds now, in bytes."""
    _RESET.write_text("5")  # the kernel's word for it, see proc(5)
    return _resident("VmRSS:")


def peak() -> int:
    """The largest resident memory since `reset_peak`, in bytes."""
    return _resident("VmHWM:")


def _resident(name: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) << 10
