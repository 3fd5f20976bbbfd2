"""Run the command line many times, each time in a forked process that can be killed or limited.

The interpreter and the libraries take seconds to start: one process loads them, and each run is a fork of it. It has
only one thread when it forks, so that no lock in the child is held by a thread that does not exist there.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ |= {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}

TINY = [
    *("--backend", "tiny", "--set", "crop=64", "--set", "threads=1"),
    *("--set", "refine.first.latent=2", "--set", "refine.first.feature=1"),
    *("--set", "refine.following.latent=1", "--set", "refine.following.feature=1"),
]


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code (minus the signal that killed it), what it said on standard error."""

    code: int
    said: str
    seconds: float
    megabytes: float  # at its peak

    @property
    def errors(self) -> list[str]:
        """The lines that are no progress."""
        return [line for line in self.said.splitlines() if line and not line.startswith("{")]


def load(source: Path) -> None:
    """Load everything that a run needs, by one of `source`. Raises RuntimeError where that leaves threads behind."""
    import cv2
    import torch

    from vidinv.cli.main import main

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if main(["run", str(source), "--edit", "age+3", "-o", f"{folder}/out.mp4", "--progress", "none", *TINY]):
            raise RuntimeError("the first run failed")
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        raise RuntimeError(f"{threads} threads run before the first fork")


def run(
    arguments: list[str],
    *,
    seconds: float,
    megabytes: int | None = None,
    begin: Callable[[], None] = lambda: None,
) -> Ended:
    """Run one command line in a fork, which calls `begin` before; see `call`."""

    def be() -> int:
        from vidinv.cli.main import main

        begin()
        return main(arguments)

    return call(be, seconds=seconds, megabytes=megabytes)


def call(be: Callable[[], int], *, seconds: float, megabytes: int | None = None) -> Ended:
    """Be a fork whose exit code is what `be` returns; it is killed after `seconds`.

    With `megabytes` it may map that much more than is loaded, and work for a quarter of the seconds.
    """
    with tempfile.TemporaryFile() as said:
        start = time.monotonic()
        child = os.fork()
        if not child:
            _live(be, said.fileno(), seconds, megabytes)
        status, used = _wait(child, start + seconds)
        said.seek(0)
        text = said.read().decode(errors="replace")
    return Ended(os.waitstatus_to_exitcode(status), text, time.monotonic() - start, used.ru_maxrss / 1024)


def _live(be: Callable[[], int], said: int, seconds: float, megabytes: int | None) -> None:
    """The child's whole life."""
    code = 1
    try:
        os.dup2(said, 1)
        os.dup2(said, 2)
        if megabytes is not None:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            bound = pages * resource.getpagesize() + (megabytes << 20)
            resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
            resource.setrlimit(resource.RLIMIT_CPU, (int(seconds / 4) + 1,) * 2)
        code = be()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _wait(child: int, until: float) -> tuple[int, resource.struct_rusage]:
    while time.monotonic() < until:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            return status, used
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    _, status, used = os.wait4(child, 0)
    return status, used
