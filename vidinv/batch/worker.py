"""Run a worker process: it receives tasks through a socket, performs one at a time, and ends with its batch.

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
    """Options of all tasks of a worker: output folder, length of parts in seconds, weights and their source."""

    folder: str
    split: float = 0.0
    needs: tuple[str, ...] = ()
    offline: bool = True
    accept: bool = False


def main() -> None:
    tune_process()
    link = Connection(int(sys.argv[1]))
    options: WorkerOptions = link.recv()
    tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(link, tasks), daemon=True).start()
    prepare_worker()
    from vidinv.batch import run_task

    while True:
        link.send(run_task.perform(tasks.get(), options.folder, options.split))


def prepare_worker() -> None:
    """Keep loaded networks for all tasks of this process."""
    from vidinv.backends import registry as backends

    backends.keep_networks_loaded()


def _listen(link: Connection, tasks: queue.SimpleQueue[Task]) -> None:
    """Queue incoming tasks. If the batch is gone the process ends at once: its job can be resumed."""
    while True:
        try:
            tasks.put(link.recv())
        except (EOFError, OSError):
            os._exit(0)


if __name__ == "__main__":
    main()
