"""A worker process of this machine: it gets tasks through a socket, does one at a time, and ends with its batch.

python -m vidinv.batch.worker DESCRIPTOR, started by `vidinv/batch/local_pool.py`.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection

from vidinv.batch.task import Task
from vidinv.process import tune_process


@dataclass(frozen=True)
class WorkerOptions:
    """What holds for all tasks of a worker: where outputs go, how long parts are, and whence weights may come."""

    folder: str
    split: float = 0.0
    needs: tuple[str, ...] = ()
    offline: bool = True
    accept: bool = False


def main() -> None:
    tune_process()
    link = Connection(int(sys.argv[1]))
    terms: WorkerOptions = link.recv()
    tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(link, tasks), daemon=True).start()
    begin()
    from vidinv.batch import run_task

    while True:
        link.send(run_task.perform(tasks.get(), terms.folder, terms.split))


def begin() -> None:
    """Make this process one whose networks are loaded once."""
    from vidinv.backends import registry as backends

    backends.stay_loaded()


def _listen(link: Connection, tasks: queue.SimpleQueue[Task]) -> None:
    """Take tasks as they come. Where the batch is gone the process ends at once: its job can be gone on with."""
    while True:
        try:
            tasks.put(link.recv())
        except (EOFError, OSError):
            os._exit(0)


if __name__ == "__main__":
    main()
