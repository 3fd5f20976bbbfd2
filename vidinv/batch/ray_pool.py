"""The workers of a Ray cluster: actors with stated needs, each with its own networks; a lost one is replaced."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from vidinv.batch.task import Outcome, Task
from vidinv.batch.worker import WorkerOptions
from vidinv.errors import OutputUnwritable, UsageError
from vidinv.extras import load_optional


@dataclass(frozen=True)
class Needs:
    """What one worker takes of a machine: Ray places it where that is free."""

    cores: int = 1
    gpus: float = 0.0
    megabytes: int = 3000


@dataclass
class _RayWorker:
    actor: Any
    task: Task | None = None
    begun: float = 0.0


class RayPool:
    """`count` actors with `needs` each in the cluster of `address`; 0: as many as it has room for.

    `address` is `ray` (the cluster of RAY_ADDRESS, else one of this machine alone) or `ray://HOST:PORT`. Sources and
    the batch's folder must be seen from every machine under the same path or URL, and vidinv be installed there.
    """

    def __init__(self, address: str, count: int, terms: WorkerOptions, needs: Needs) -> None:
        self._ray = _connected(address)
        self.terms, self.needs = terms, needs
        self._room = count or _fitting(self._ray.cluster_resources(), needs)
        self._kind = self._ray.remote(_Actor).options(
            num_cpus=needs.cores, num_gpus=needs.gpus, memory=needs.megabytes << 20, max_restarts=0, max_task_retries=0
        )
        self._workers: list[_RayWorker] = []
        self._running: dict[Any, _RayWorker] = {}  # by the reference of its outcome

    @property
    def room(self) -> int:
        """How many tasks more can be begun now."""
        return self._room - self.busy

    @property
    def busy(self) -> int:
        """How many tasks are being done."""
        return len(self._running)

    def submit(self, task: Task) -> None:
        """Give a task to a worker that has none, a new one where there is none."""
        worker = next((each for each in self._workers if each.task is None), None)
        if worker is None:
            worker = _RayWorker(self._kind.remote(self.terms, self.needs.cores))
            self._workers.append(worker)
        worker.task, worker.begun = task, time.monotonic()
        self._running[worker.actor.perform.remote(task)] = worker

    def ended(self, seconds: float) -> list[tuple[Task, Outcome]]:
        """The tasks that came to an end, waiting for `seconds` at most; one whose worker was lost ends with code 1.

        Raises OutputUnwritable where the cluster itself is gone; what it was doing waits for the next start.
        """
        running = list(self._running)
        references, _ = self._ray.wait(running, num_returns=len(running), timeout=0)
        if not references:
            references, _ = self._ray.wait(running, num_returns=1, timeout=seconds)
        return [self._outcome(reference) for reference in references]

    def _outcome(self, reference: Any) -> tuple[Task, Outcome]:
        worker = self._running.pop(reference)
        task, worker.task = worker.task, None
        assert task is not None
        try:
            return task, self._ray.get(reference)
        except self._ray.exceptions.RayActorError as error:
            self._workers.remove(worker)
            why = str(error).strip().splitlines()[0]
            return task, Outcome(1, f"the worker was lost ({why})", seconds=round(time.monotonic() - worker.begun, 3))
        except (self._ray.exceptions.RaySystemError, ConnectionError) as error:
            raise OutputUnwritable(
                f"the Ray cluster is gone ({error})", remedy="start it and repeat the command"
            ) from error

    def close(self) -> None:
        """End every worker, whatever it does, and leave the cluster."""
        for worker in self._workers:
            self._ray.kill(worker.actor)
        self._ray.shutdown()


class _Actor:
    """A worker in the cluster: its networks stay loaded from one task to the next."""

    def __init__(self, terms: WorkerOptions, threads: int) -> None:
        from vidinv.batch import worker
        from vidinv.process import tune_process
        from vidinv.weights import cache

        os.environ["OMP_NUM_THREADS"] = str(threads)
        tune_process()
        import torch

        torch.set_num_threads(threads)  # Ray's own settings came first
        worker.begin()
        cache.need(terms.needs, offline=terms.offline, accept=terms.accept)  # of this machine
        self.terms = terms

    def perform(self, task: Task) -> Outcome:
        from vidinv.batch import run_task

        return run_task.perform(task, self.terms.folder, self.terms.split)


def _connected(address: str) -> Any:
    ray = load_optional("ray", "--cluster ray", instead="leave --cluster out")
    try:
        ray.init(address if "://" in address else None, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        why = str(error).strip().splitlines()[0]
        raise UsageError(f"no Ray cluster at {address} ({why})", remedy="start one: ray start --head") from error
    return ray


def _fitting(resources: dict[str, float], needs: Needs) -> int:
    """How many workers a cluster with these resources can hold."""
    fits = [resources.get("CPU", 0.0) / needs.cores, resources.get("memory", 0.0) / (needs.megabytes << 20)]
    fits += [resources.get("GPU", 0.0) / needs.gpus] if needs.gpus else []
    count = int(min(fits))
    if count < 1:
        raise UsageError(
            f"no worker with {needs.cores} cores, {needs.gpus:g} GPUs and {needs.megabytes} MB fits into the cluster",
            remedy="lower --cores, --gpus or --memory",
        )
    return count
