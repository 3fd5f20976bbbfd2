"""Graph: run the stages in threads; one thread decodes, one encodes the video, and the stages between run in lanes.

A lane is a thread that runs consecutive stages; the first lane is the caller's thread. While one lane draws the next
frames, the following lane masks, blends and measures the frames that were drawn: torch's small operations leave a core
idle when one thread runs them all. The queues between lanes are bounded, so memory does not grow with the clip. The
order is kept because each lane is one thread. The first error stops every thread and is raised with its stage and
frame.

On a GPU all threads use the default stream, so the operations that a thread queues before it passes a Work on finish
before those of the thread that receives it. A stage must not choose a stream of its own.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from vidinv.frames import Work
from vidinv.memory import check_threads

Stage = Callable[[Iterator[Work]], Iterator[Work]]
DEPTH = 3  # Works that a queue holds
DRAWN = 1  # Works that a queue between lanes holds; they contain pictures and are large
_END = object()


@dataclass
class StageTime:
    """Seconds in which a stage worked (`busy_s`) and waited for its neighbours (`wait_s`), and its CPU seconds.

    `cpu_s` counts the stage's Python thread, but neither torch's pool nor the threads that draw faces in parallel.
    """

    busy_s: float = 0.0
    wait_s: float = 0.0
    cpu_s: float = 0.0


@dataclass
class _GraphState:
    stop: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None
    where: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, error: BaseException, where: str) -> None:
        with self.lock:
            if self.error is None:
                self.error, self.where = error, where
        self.stop.set()


class _Stopped(Exception):
    """Another thread failed, so this one stops."""


def run(
    stages: list[tuple[str, Stage]],
    source: tuple[str, Iterable[Work]],
    sink: tuple[str, Callable[[Work], None]],
    parted: Sequence[str] = (),
    begin: Callable[[], None] = lambda: None,
) -> dict[str, StageTime]:
    """Pull every Work from `source` through `stages` into `sink`; returns the times of each stage by name.

    `source`, `sink` and `stages` are (name, callable or iterable). A new lane, with its own thread, begins at each
    stage named in `parted`; `begin` is called once in every lane, the caller's included. The error of a stage is raised
    again with the note `in stage NAME near frame I`. KeyboardInterrupt stops the threads and is raised.
    """
    times = {name: StageTime() for name in (source[0], *(name for name, _ in stages), sink[0])}
    lanes = lanes_of(stages, parted)
    shared = _GraphState()
    sizes = (DEPTH, *(DRAWN for _ in lanes[1:]), DEPTH)
    queues: list[queue.Queue[Any]] = [queue.Queue(maxsize=size) for size in sizes]
    reading = (source, queues[0], shared, times[source[0]])
    writing = (sink, queues[-1], shared, times[sink[0]])
    threads = [
        threading.Thread(target=_run_source, args=reading, name="decode", daemon=True),
        threading.Thread(target=_run_sink, args=writing, name="encode", daemon=True),
    ]
    for number, lane in enumerate(lanes[1:], 1):
        given = (lane, queues[number], queues[number + 1], shared, times, begin)
        threads.append(threading.Thread(target=_run_lane, args=given, name=f"lane {lane[0][0]}", daemon=True))
    check_threads()
    try:
        for thread in threads:
            thread.start()
        _run_lane(lanes[0], queues[0], queues[1], shared, times, begin)
        _join(threads)
    except BaseException as error:
        shared.fail(error, "")
    finally:
        _join(threads)  # no thread outlives the call
    if shared.error is not None:
        if shared.where and hasattr(shared.error, "add_note"):  # Python 3.11
            shared.error.add_note(shared.where)
        raise shared.error
    return times


def lanes_of(stages: list[tuple[str, Stage]], parted: Sequence[str]) -> list[list[tuple[str, Stage]]]:
    """Split the stages into lanes: one begins at the first stage, and one at each stage named in `parted`."""
    lanes: list[list[tuple[str, Stage]]] = [[]]
    for name, stage in stages:
        if name in parted and lanes[-1]:
            lanes.append([])
        lanes[-1].append((name, stage))
    return lanes


def _join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        if thread.ident is not None:  # it was started
            thread.join()


def _run_source(
    source: tuple[str, Iterable[Work]], out: queue.Queue[Any], shared: _GraphState, took: StageTime
) -> None:
    frame = 0
    works = iter(source[1])
    try:
        while True:
            with _busy(took):
                work = next(works, None)
            if work is None:
                break
            frame = work.frames.index[-1]
            _put(out, work, shared, took)
        _put(out, _END, shared, took)
    except _Stopped:
        return  # another thread's error is raised by `run`
    except BaseException as error:
        shared.fail(error, f"in stage {source[0]} after frame {frame}")
    finally:
        close = getattr(works, "close", None)
        if close is not None:
            close()


def _run_sink(
    sink: tuple[str, Callable[[Work], None]], inbox: queue.Queue[Any], shared: _GraphState, took: StageTime
) -> None:
    frame = 0
    try:
        while True:
            work = _get(inbox, shared, took)
            if work is _END:
                return
            frame = work.frames.index[0]
            with _busy(took):
                sink[1](work)
    except _Stopped:
        return  # another thread's error is raised by `run`
    except BaseException as error:
        shared.fail(error, f"in stage {sink[0]} at frame {frame}")


def _run_lane(
    stages: list[tuple[str, Stage]],
    inbox: queue.Queue[Any],
    out: queue.Queue[Any],
    shared: _GraphState,
    times: dict[str, StageTime],
    begin: Callable[[], None],
) -> None:
    begin()
    seen = [0]
    waiting = StageTime()

    def arrivals() -> Iterator[Work]:
        while (work := _get(inbox, shared, waiting)) is not _END:
            seen[0] = work.frames.index[0]
            yield work

    flow: Iterator[Work] = arrivals()
    entrance = _Clock()
    flow = _timed(flow, StageTime(), None, entrance, "", shared, seen)
    upstream = entrance
    for name, stage in stages:
        clock = _Clock()
        flow = _timed(stage(flow), times[name], upstream, clock, name, shared, seen)
        upstream = clock
    with contextlib.suppress(_Stopped):  # another thread's error is raised by `run`
        for work in flow:
            _put(out, work, shared, waiting)
        _put(out, _END, shared, waiting)


@dataclass
class _Clock:
    """Seconds spent so far inside one iterator's `next`, including everything upstream of it."""

    wall: float = 0.0
    cpu: float = 0.0


def _timed(
    flow: Iterator[Work],
    took: StageTime,
    upstream: _Clock | None,
    clock: _Clock,
    name: str,
    shared: _GraphState,
    seen: list[int],
) -> Iterator[Work]:
    """Yield from `flow`, and add the time of each `next` to `took`, less the time spent in the stage before it."""
    while True:
        before = (upstream.wall, upstream.cpu) if upstream else (0.0, 0.0)
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            work = next(flow, None)
        except (_Stopped, KeyboardInterrupt):
            raise
        except BaseException as error:
            shared.fail(error, f"in stage {name} near frame {seen[0]}")
            raise _Stopped from error
        wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
        clock.wall += wall
        clock.cpu += cpu
        if upstream is not None:
            waited = upstream.wall - before[0]
            took.busy_s += wall - waited
            took.wait_s += waited
            took.cpu_s += cpu - (upstream.cpu - before[1])
        if work is None:
            return
        yield work


class _busy:
    """Context manager that adds the enclosed seconds to a stage that has a thread of its own."""

    def __init__(self, took: StageTime) -> None:
        self.took = took

    def __enter__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.thread_time()

    def __exit__(self, *_: object) -> None:
        self.took.busy_s += time.perf_counter() - self.wall
        self.took.cpu_s += time.thread_time() - self.cpu


def _put(out: queue.Queue[Any], item: Any, shared: _GraphState, took: StageTime) -> None:
    start = time.perf_counter()
    while True:
        if shared.stop.is_set():
            raise _Stopped
        try:
            out.put(item, timeout=0.1)
            break
        except queue.Full:
            continue
    took.wait_s += time.perf_counter() - start


def _get(inbox: queue.Queue[Any], shared: _GraphState, took: StageTime) -> Any:
    start = time.perf_counter()
    while True:
        if shared.stop.is_set():
            raise _Stopped
        try:
            item = inbox.get(timeout=0.1)
            break
        except queue.Empty:
            continue
    took.wait_s += time.perf_counter() - start
    return item
