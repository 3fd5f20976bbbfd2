"""Ordered pool: process a few frames in parallel and deliver the results in the order of the frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, ParamSpec, TypeVar

Found = TypeVar("Found")
Entry = TypeVar("Entry")
Given = ParamSpec("Given")


def finished(found: Found) -> Future[Found]:
    """A finished future that holds a result."""
    done: Future[Found] = Future()
    done.set_result(found)
    return done


class OrderedPool(Generic[Entry, Found]):
    """A context manager that runs up to `count` tasks in parallel and delivers their results in order.

    Each worker thread calls `begin` first; with a count of 1 the tasks run in the caller's thread. `keep(entry, found)`
    is called for every entry that is added, in the order of adding and in the caller's thread; all entries are
    delivered when the block ends. A task's error is raised where its future is read. After an error in the block no
    further entry is delivered.
    """

    def __init__(
        self,
        keep: Callable[[Entry, Future[Found] | None], None],
        count: int,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        self.keep, self.count = keep, count
        self.pool = ThreadPoolExecutor(count, thread_name_prefix="first-pass", initializer=begin) if count > 1 else None
        self.waiting: deque[tuple[Entry, Future[Found] | None]] = deque()

    def submit(self, work: Callable[Given, Found], *arguments: Given.args, **options: Given.kwargs) -> Future[Found]:
        """Start a task and return its future."""
        if self.pool is None:
            return finished(work(*arguments, **options))
        return self.pool.submit(work, *arguments, **options)

    def add(self, entry: Entry, found: Future[Found] | None) -> None:
        """Queue an entry with the future of its result, or None where there is no task; may deliver earlier entries."""
        self.waiting.append((entry, found))
        while len(self.waiting) >= self.count:
            self.keep(*self.waiting.popleft())

    def __enter__(self) -> OrderedPool[Entry, Found]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            while self.waiting and error is None:
                self.keep(*self.waiting.popleft())
        finally:
            if self.pool is not None:
                self.pool.shutdown(cancel_futures=True)
