"""A watch over the decoder: what gives no frame for too long ends the run instead of holding it for ever."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path

from vidinv.errors import InputUnreadable
from vidinv.frames import FrameBatch

_SLICES = 20  # of the wait: a process that was stopped for an hour and goes on has waited one slice longer
_END = object()

Answers = queue.SimpleQueue[object]


class Stalled(InputUnreadable):
    """The input gives no more frames, and no end; a run that is repeated may get further."""


def watched(frames: Iterator[FrameBatch], source: Path, seconds: float) -> Iterator[FrameBatch]:
    """`frames` as they are, each asked for in a thread of its own when it is wanted, and not before.

    Raises Stalled, which names the frame, where one takes longer than `seconds`. The thread is then left to itself.
    """
    asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
    answers: Answers = queue.SimpleQueue()
    thread = threading.Thread(target=_read, args=(frames, asked, answers), name="read", daemon=True)
    thread.start()
    frame, second, is_stuck = 0, 0.0, False
    try:
        while True:
            asked.put(True)
            try:
                answer = _answer(answers, seconds)
            except queue.Empty:
                is_stuck = True
                raise Stalled(
                    f"{source.name}: no frame {frame} (after {second:.3f} s) within {seconds:g} s",
                    remedy="see that its disk answers and run it again, or wait longer with --set stall_seconds=600",
                ) from None
            if isinstance(answer, BaseException):
                raise answer
            if not isinstance(answer, FrameBatch):
                return
            frame, second = answer.index[-1] + 1, float(answer.pts[-1] * answer.time_base)
            yield answer
    finally:
        asked.put(False)
        if not is_stuck:
            thread.join()


def _answer(answers: Answers, seconds: float) -> object:
    for _ in range(_SLICES - 1):
        try:
            return answers.get(timeout=seconds / _SLICES)
        except queue.Empty:
            continue
    return answers.get(timeout=seconds / _SLICES)


def _read(frames: Iterator[FrameBatch], asked: queue.SimpleQueue[bool], answers: Answers) -> None:
    try:
        while asked.get():
            answers.put(next(frames, _END))
    except BaseException as error:
        answers.put(error)
    finally:
        close = getattr(frames, "close", None)
        if close is not None:
            close()
