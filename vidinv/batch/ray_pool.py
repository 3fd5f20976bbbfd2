"""Run the workers of a Ray cluster: actors with fixed resources and their own networks; lost ones are replaced."""

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
class WorkerResources:
    """Resources of one worker; Ray places it on a machine where they are free."""

    cores: int = 1
    gpus: float = 0.0
    megabytes: int = 3000


@dataclass
class _RayWorker:
    actor: Any
    task: Task | None = None
    started: float = 0.0


class RayPool:
    """`count` actors with `needs` each in the cluster at `address`; 0: as many as fit.

    `address` is `ray` (the cluster of RAY_ADDRESS, or a new one on this machine) or `ray://HOST:PORT`. Every machine
    must have vidinv installed and reach the sources and the batch's folder under the same path or URL.
    """

    def __init__(self, address: str, count: int, options: WorkerOptions, needs: WorkerResources) -> None:
        self._ray = _connected(address)
        self.options, self.needs = options, needs
        self._room = count or _fitting(self._ray.cluster_resources(), needs)
        self._kind = self._ray.remote(_Actor).options(
            num_cpus=needs.cores, num_gpus=needs.gpus, memory=needs.megabytes << 20, max_restarts=0, max_task_retries=0
        )
        self._workers: list[_RayWorker] = []
        self._running: dict[Any, _RayWorker] = {}  # reference of the outcome -> worker

    @property
    def room(self) -> int:
        """Number of further tasks that can be submitted now."""
        return self._room - self.busy

    @property
    def busy(self) -> int:
        """Number of running tasks."""
        return len(self._running)

    def submit(self, task: Task) -> None:
        """Give a task to an idle worker, or to a new one."""
        worker = next((each for each in self._workers if each.task is None), None)
        if worker is None:
            worker = _RayWorker(self._kind.remote(self.options, self.needs.cores))
            self._workers.append(worker)
        worker.task, worker.started = task, time.monotonic()
        self._running[worker.actor.perform.remote(task)] = worker

    def ended(self, seconds: float) -> list[tuple[Task, Outcome]]:
        """Return finished tasks, waiting `seconds` at most; a task whose worker was lost ends with code 1.

        Raises OutputUnwritable if the cluster itself is gone; its running tasks wait for the next start.
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
            return task, Outcome(1, f"the worker was lost ({why})", seconds=round(time.monotonic() - worker.started, 3))
        except (self._ray.exceptions.RaySystemError, ConnectionError) as error:
            raise OutputUnwritable(
                f"the Ray cluster cannot be reached any more ({error})", remedy="start it and repeat the command"
            ) from error

    def close(self) -> None:
        """Kill every worker and disconnect from the cluster."""
        for worker in self._workers:
            self._ray.kill(worker.actor)
        self._ray.shutdown()


class _Actor:
    """A worker in the cluster; its networks stay loaded between tasks."""

    def __init__(self, options: WorkerOptions, threads: int) -> None:
        from vidinv.batch import worker
        from vidinv.process import tune_process
        from vidinv.weights import cache

        os.environ["OMP_NUM_THREADS"] = str(threads)
        tune_process()
        import torch

        torch.set_num_threads(threads)  # Ray has set another number before
        worker.prepare_worker()
        cache.need(options.needs, offline=options.offline, accept=options.accept)  # weights on the worker's machine
        self.options = options

    def perform(self, task: Task) -> Outcome:
        from vidinv.batch import run_task

        return run_task.perform(task, self.options.folder, self.options.split)


def _connected(address: str) -> Any:
    ray = load_optional("ray", "--cluster ray", instead="leave out --cluster")
    try:
        ray.init(address if "://" in address else None, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        why = str(error).strip().splitlines()[0]
        raise UsageError(f"no Ray cluster at {address} ({why})", remedy="start one: ray start --head") from error
    return ray


def _fitting(resources: dict[str, float], needs: WorkerResources) -> int:
    """Number of workers that fit into a cluster with these resources. Raises UsageError if none fits."""
    fits = [resources.get("CPU", 0.0) / needs.cores, resources.get("memory", 0.0) / (needs.megabytes << 20)]
    fits += [resources.get("GPU", 0.0) / needs.gpus] if needs.gpus else []
    count = int(min(fits))
    if count < 1:
        raise UsageError(
            f"the cluster cannot hold a worker of {needs.cores} cores, {needs.gpus:g} GPUs and {needs.megabytes} MB",
            remedy="lower --cores, --gpus or --memory",
        )
    return count
