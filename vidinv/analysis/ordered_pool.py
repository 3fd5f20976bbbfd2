"""Do the work of a few frames at once and take what is found in the order of the frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, ParamSpec, TypeVar

Found = TypeVar("Found")
Entry = TypeVar("Entry")
Given = ParamSpec("Given")


def known(found: Found) -> Future[Found]:
    """What was found before, as work that is done."""
    done: Future[Found] = Future()
    done.set_result(found)
    return done


class InOrder(Generic[Entry, Found]):
    """Up to `count` frames in work, each in a thread, where `begin` is called first; with a count of 1 in the caller's.

    `keep(entry, found)` is called for each that is added, in that order and in the caller's thread; all are kept when
    the block ends. The work's error comes where it is waited for. After an error nothing more is kept.
    """

    def __init__(
        self,
        keep: Callable[[Entry, Future[Found] | None], None],
        count: int,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        self.keep, self.count = keep, count
        self.pool = ThreadPoolExecutor(count, thread_name_prefix="ahead", initializer=begin) if count > 1 else None
        self.waiting: deque[tuple[Entry, Future[Found] | None]] = deque()

    def submit(self, work: Callable[Given, Found], *arguments: Given.args, **options: Given.kwargs) -> Future[Found]:
        """Begin to work."""
        if self.pool is None:
            return known(work(*arguments, **options))
        return self.pool.submit(work, *arguments, **options)

    def add(self, entry: Entry, found: Future[Found] | None) -> None:
        """What is to be kept next, once it is found; None where nothing was looked for."""
        self.waiting.append((entry, found))
        while len(self.waiting) >= self.count:
            self.keep(*self.waiting.popleft())

    def __enter__(self) -> InOrder[Entry, Found]:
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
