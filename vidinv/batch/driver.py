"""Drive a batch: give the journal's clips to workers, record each outcome, and split long clips into parts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from vidinv.batch import storage
from vidinv.batch.journal import BatchJournal
from vidinv.batch.local_pool import WorkerPool
from vidinv.batch.lock import HeldFolder
from vidinv.batch.run_task import exchange_folder
from vidinv.batch.task import Outcome, Task, TaskOrder

PAUSE = 1.0  # seconds to wait for an outcome before the lock is checked again
Note = Callable[[str], None]


@dataclass
class _SplitClip:
    """A clip that is rendered in parts: how many are left, and the first failure."""

    order: TaskOrder
    parts: tuple[tuple[int, int], ...]
    left: int
    failure: Outcome | None = None
    seconds: float = 0.0


@dataclass
class Driver:
    """Processes the clips of a `journal` with the workers of a `pool`; each clip is tried up to `tries` times.

    `note(line)` writes a log line, `done(n)` is called when n clips are finished, `keep()` after each change of the
    journal. With `split` > 0 every clip is first analysed and then rendered in parts of at least `split` seconds.
    """

    journal: BatchJournal
    pool: WorkerPool
    folder: str
    held: HeldFolder
    tries: int
    split: float
    note: Note
    done: Callable[[int], None]
    keep: Callable[[], None]
    _due: deque[Task] = field(default_factory=deque)
    _shared: dict[str, _SplitClip] = field(default_factory=dict)

    def run(self) -> None:
        """Work until no clip is waiting. Memory does not grow with the number of clips."""
        while True:
            self.held.check()
            while self.pool.room > 0 and (task := self._next()) is not None:
                self.pool.submit(task)
            if not self.pool.busy:
                break
            for task, outcome in self.pool.ended(PAUSE):
                for line in outcome.log:
                    self.note(f"{task.order.name}: {line}")
                self._ended(task, outcome)
        if self.split > 0:
            storage.remove(exchange_folder(self.folder))

    def _next(self) -> Task | None:
        if self._due:
            return self._due.popleft()
        order = self.journal.take()
        if order is None:
            return None
        self.note(f"{order.name}: started")
        return Task(order, "plan" if self.split > 0 else "whole")

    def _ended(self, task: Task, outcome: Outcome) -> None:
        if task.step == "part":
            self._part_ended(task, outcome)
        elif task.step == "plan" and outcome.code == 0 and outcome.parts:
            order, parts = task.order, outcome.parts
            if len(parts) == 1:
                self._due.append(Task(order, "gather"))  # it also renders the only part
                self._shared[order.name] = _SplitClip(order, (), 0, seconds=outcome.seconds)
                return
            self.note(f"{order.name}: {len(parts)} parts")
            self._shared[order.name] = _SplitClip(order, parts, len(parts), seconds=outcome.seconds)
            self._due.extend(Task(order, "part", part) for part in parts)
        else:
            before = self._shared.pop(task.order.name, None)
            self._close(task.order, outcome.within(before.seconds if before else 0.0))

    def _part_ended(self, task: Task, outcome: Outcome) -> None:
        """After a failure the waiting parts of the clip are dropped; rendered parts are kept for the next try."""
        shared = self._shared[task.order.name]
        shared.left -= 1
        shared.seconds += outcome.seconds
        if outcome.code and shared.failure is None:
            shared.failure = outcome
            dropped = [due for due in self._due if due.order.name == task.order.name]
            self._due = deque(due for due in self._due if due.order.name != task.order.name)
            shared.left -= len(dropped)
        if shared.left:
            return
        if shared.failure is None:
            self._due.appendleft(Task(shared.order, "gather", parts=shared.parts))
            return
        del self._shared[task.order.name]
        self._close(shared.order, replace(shared.failure, seconds=shared.seconds))

    def _close(self, order: TaskOrder, outcome: Outcome) -> None:
        """Record the outcome of a try of a clip."""
        again = self.journal.end(order, outcome, self.tries)
        self.keep()
        took = f"{outcome.seconds:.1f} s"
        if outcome.code == 0:
            self.note(f"{order.name}: done in {took}")
        else:
            then = ", will be retried" if again else ""
            self.note(f"{order.name}: {outcome.error} (exit code {outcome.code}, {took}{then})")
        if again:
            return
        if outcome.code and self.split > 0:
            storage.remove(exchange_folder(self.folder, order.name))
        self.done(1)
