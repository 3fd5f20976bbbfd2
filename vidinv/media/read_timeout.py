"""Stop a run whose decoder returns no frame within a time limit."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path

from vidinv.errors import InputUnreadable
from vidinv.frames import FrameBatch

_SLICES = 20  # parts of the time limit: a process that was suspended loses only one of them when it continues
_END = object()

Answers = queue.SimpleQueue[object]


class Stalled(InputUnreadable):
    """The input returned no frame within the time limit; running again may succeed."""


def with_timeout(frames: Iterator[FrameBatch], source: Path, seconds: float) -> Iterator[FrameBatch]:
    """Yield the batches of `frames`, each read in a separate thread only when it is requested.

    Raises Stalled, which names the frame, if one batch takes longer than `seconds`; the reading thread is then
    abandoned.
    """
    requests: queue.SimpleQueue[bool] = queue.SimpleQueue()
    answers: Answers = queue.SimpleQueue()
    thread = threading.Thread(target=_read, args=(frames, requests, answers), name="read", daemon=True)
    thread.start()
    frame, second, is_stuck = 0, 0.0, False
    try:
        while True:
            requests.put(True)
            try:
                answer = _answer(answers, seconds)
            except queue.Empty:
                is_stuck = True
                raise Stalled(
                    f"{source.name}: no frame {frame} (after {second:.3f} s) within {seconds:g} s",
                    remedy="check its disk and run again, or raise the limit with --set stall_seconds=600",
                ) from None
            if isinstance(answer, BaseException):
                raise answer
            if not isinstance(answer, FrameBatch):
                return
            frame, second = answer.index[-1] + 1, float(answer.pts[-1] * answer.time_base)
            yield answer
    finally:
        requests.put(False)
        if not is_stuck:
            thread.join()


def _answer(answers: Answers, seconds: float) -> object:
    for _ in range(_SLICES - 1):
        try:
            return answers.get(timeout=seconds / _SLICES)
        except queue.Empty:
            continue
    return answers.get(timeout=seconds / _SLICES)


def _read(frames: Iterator[FrameBatch], requests: queue.SimpleQueue[bool], answers: Answers) -> None:
    try:
        while requests.get():
            answers.put(next(frames, _END))
    except BaseException as error:
        answers.put(error)
    finally:
        close = getattr(frames, "close", None)
        if close is not None:
            close()
