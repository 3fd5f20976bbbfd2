"""Run the workers of this machine: processes, each with its own networks and a share of the cores."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Protocol

from vidinv import fileio, process
from vidinv.batch.task import Outcome, Task
from vidinv.batch.worker import WorkerOptions

SOON = 5.0  # seconds; a worker that dies sooner is likely to die again
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerPool(Protocol):
    """Workers that run tasks: `submit` while there is `room`; `ended` returns finished tasks."""

    @property
    def room(self) -> int: ...

    @property
    def busy(self) -> int: ...

    def submit(self, task: Task) -> None: ...

    def ended(self, seconds: float) -> list[tuple[Task, Outcome]]: ...

    def close(self) -> None: ...


@dataclass
class _LocalWorker:
    process: subprocess.Popen[bytes]
    link: Connection
    started: float
    task: Task | None = None


class LocalPool:
    """`count` processes, whose standard output and error go to the file `log`.

    They keep the descriptors `held` open, so that a lock on them lasts until the last worker ends.
    """

    def __init__(self, count: int, options: WorkerOptions, log: Path, held: Iterable[int] = ()) -> None:
        self.options, self.log, self.held = options, log, tuple(held)
        self.threads = max(1, process.cores() // count)
        self._workers: list[_LocalWorker] = []
        self._room = count

    @property
    def room(self) -> int:
        """Number of further tasks that can be submitted now."""
        return self._room - self.busy

    @property
    def busy(self) -> int:
        """Number of running tasks."""
        return sum(worker.task is not None for worker in self._workers)

    def submit(self, task: Task) -> None:
        """Give a task to an idle worker, or to a new one."""
        worker = next((each for each in self._workers if each.task is None), None) or self._begin()
        worker.task = task
        with contextlib.suppress(OSError):  # the worker has died; `ended` reports it
            worker.link.send(task)

    def ended(self, seconds: float) -> list[tuple[Task, Outcome]]:
        """Return finished tasks, waiting `seconds` at most; a task whose worker died ends with code 1."""
        found = []
        for link in wait([worker.link for worker in self._workers], timeout=seconds):
            worker = next(each for each in self._workers if each.link is link)
            task = worker.task
            try:
                outcome = worker.link.recv()
                worker.task = None
            except (EOFError, OSError):
                outcome = self._lost(worker)
            if task is not None:
                found.append((task, outcome))
        return found

    def close(self) -> None:
        """Kill every worker; their jobs can be resumed."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.wait()
            worker.link.close()
        self._workers.clear()

    def _begin(self) -> _LocalWorker:
        mine, theirs = socket.socketpair()
        environment = os.environ | dict.fromkeys(THREADS, str(self.threads))
        with fileio.writing(self.log):
            log = self.log.open("ab")
        with theirs, log:
            process = subprocess.Popen(
                [sys.executable, "-m", "vidinv.batch.worker", str(theirs.fileno())],
                pass_fds=(theirs.fileno(), *self.held),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C goes to the batch, which kills its workers
            )
        link = Connection(mine.detach())
        link.send(self.options)
        self._workers.append(_LocalWorker(process, link, time.monotonic()))
        return self._workers[-1]

    def _lost(self, worker: _LocalWorker) -> Outcome:
        self._workers.remove(worker)
        worker.link.close()
        code = worker.process.wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        if time.monotonic() - worker.started < SOON:
            time.sleep(0.5)  # avoid a busy loop if no worker can start
        return Outcome(
            1, f"the worker died ({how}); see {self.log}", seconds=round(time.monotonic() - worker.started, 3)
        )
