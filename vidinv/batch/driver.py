"""The driver: hands the journal's clips to the workers, notes how each ended, and shares out what is long."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from vidinv.batch import storage
from vidinv.batch.journal import BatchJournal
from vidinv.batch.local_pool import WorkerPool
from vidinv.batch.lock import HeldFolder
from vidinv.batch.run_task import exchange
from vidinv.batch.task import Outcome, Task, TaskOrder

PAUSE = 1.0  # seconds between looks at what else may have happened
Note = Callable[[str], None]


@dataclass
class _SplitClip:
    """A clip that is done in parts: those that are to come, and how the worst that ended did."""

    order: TaskOrder
    parts: tuple[tuple[int, int], ...]
    left: int
    failure: Outcome | None = None
    seconds: float = 0.0


@dataclass
class Driver:
    """Goes through the clips of a `journal` with a `pool`; `tries` is how often each may be begun.

    `note` hears a line for the log, `done` how many clips came to their end, `keep` is called after each change of the
    journal. With `split` above 0 every clip is first analysed, and rendered in parts that last so many seconds.
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
        """Work until no clip waits. Memory does not grow with their number: only what is being done is held."""
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
            storage.remove(exchange(self.folder))

    def _next(self) -> Task | None:
        if self._due:
            return self._due.popleft()
        order = self.journal.take()
        if order is None:
            return None
        self.note(f"{order.name}: begun")
        return Task(order, "plan" if self.split > 0 else "whole")

    def _ended(self, task: Task, outcome: Outcome) -> None:
        if task.step == "part":
            self._part_ended(task, outcome)
        elif task.step == "plan" and outcome.code == 0 and outcome.parts:
            order, parts = task.order, outcome.parts
            if len(parts) == 1:
                self._due.append(Task(order, "gather"))  # which renders what is not rendered
                self._shared[order.name] = _SplitClip(order, (), 0, seconds=outcome.seconds)
                return
            self.note(f"{order.name}: {len(parts)} parts")
            self._shared[order.name] = _SplitClip(order, parts, len(parts), seconds=outcome.seconds)
            self._due.extend(Task(order, "part", part) for part in parts)
        else:
            before = self._shared.pop(task.order.name, None)
            self._close(task.order, outcome.within(before.seconds if before else 0.0))

    def _part_ended(self, task: Task, outcome: Outcome) -> None:
        """One that failed keeps those from beginning that have not; what is rendered stays for the next try."""
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
        """Note the end of a try of a clip."""
        again = self.journal.end(order, outcome, self.tries)
        self.keep()
        took = f"{outcome.seconds:.1f} s"
        if outcome.code == 0:
            self.note(f"{order.name}: done in {took}")
        else:
            then = ", tried again" if again else ""
            self.note(f"{order.name}: {outcome.error} (exit code {outcome.code}, {took}{then})")
        if again:
            return
        if outcome.code and self.split > 0:
            storage.remove(exchange(self.folder, order.name))
        self.done(1)
