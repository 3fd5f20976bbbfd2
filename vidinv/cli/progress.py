"""How a job shows itself: a bar on a terminal, JSON lines for programs, quiet otherwise."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from vidinv.errors import UsageError

EVERY = 0.5  # seconds between JSON lines
REMEMBERED = 3600.0  # seconds of work that a bar's time left is judged by; a batch alone can take minutes
KINDS = ("bar", "json", "none")


class Progress(Protocol):
    """What a job tells: a line, a phase with its number of frames (0 unknown) and those done before, frames done.

    A failure is a line that is written on standard error whatever else is shown.
    """

    def say(self, line: str) -> None: ...

    def fail(self, line: str) -> None: ...

    def phase(self, name: str, frames: int, already: int = 0) -> None: ...

    def done(self, frames: int) -> None: ...


@contextmanager
def show(kind: str | None, unit: str = "frames") -> Iterator[Progress]:
    """The progress `kind` asks for: bar, json or none; None is a bar on a terminal and nothing elsewhere.

    What is counted are frames, or another `unit`.
    """
    if kind is not None and kind not in KINDS:
        raise UsageError(f"--progress {kind!r} is not known", remedy=f"choose one of {', '.join(KINDS)}")
    chosen = kind or ("bar" if sys.stderr.isatty() else "none")
    if chosen == "json":
        yield JsonLines(unit)
    elif chosen == "none":
        yield Quiet()
    else:
        with ProgressBar(unit=unit) as bar:
            yield bar


class Quiet:
    """Says failures alone."""

    def say(self, line: str) -> None: ...

    def fail(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def phase(self, name: str, frames: int, already: int = 0) -> None: ...

    def done(self, frames: int) -> None: ...


class JsonLines:
    """One JSON object a line on standard error: {"event": "say" | "failure" | "phase" | "progress", ...}."""

    def __init__(self, unit: str = "frames") -> None:
        self.unit = unit
        self.name, self.total, self.frames, self.already, self.at, self.begun = "", 0, 0, 0, 0.0, 0.0

    def say(self, line: str) -> None:
        self._write({"event": "say", "text": line})

    def fail(self, line: str) -> None:
        self._write({"event": "failure", "text": line})

    def phase(self, name: str, frames: int, already: int = 0) -> None:
        if self.name:
            self._progress()
        self.name, self.total, self.frames, self.already = name, frames, already, already
        self.at = self.begun = time.monotonic()
        self._write({"event": "phase", "name": name, self.unit: frames})

    def done(self, frames: int) -> None:
        self.frames += frames
        if time.monotonic() - self.at >= EVERY:
            self._progress()

    def _progress(self) -> None:
        self.at = time.monotonic()
        rate = (self.frames - self.already) / max(self.at - self.begun, 1e-6)
        left = round((self.total - self.frames) / rate, 1) if self.total and rate else None
        facts = {"phase": self.name, self.unit.removesuffix("s"): self.frames, "of": self.total, "left_s": left}
        facts |= {"fps": round(rate, 2)} if self.unit == "frames" else {}
        self._write({"event": "progress"} | facts)

    def _write(self, event: dict[str, object]) -> None:
        print(json.dumps(event), file=sys.stderr, flush=True)


class ProgressBar:
    """A bar with frames/s and time left on standard error; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, unit: str = "frames") -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self.bars = RichProgress(
            TextColumn("{task.description:>9}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            speed_estimate_period=REMEMBERED,
            get_time=clock,
        )
        self.clock, self.unit = clock, unit
        self.task: TaskID | None = None
        self.begun = 0.0
        self.frames = 0

    def __enter__(self) -> ProgressBar:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def say(self, line: str) -> None:
        self.bars.console.print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)

    def fail(self, line: str) -> None:
        self.say(line)

    def phase(self, name: str, frames: int, already: int = 0) -> None:
        self.task = self.bars.add_task(name, total=frames or None, completed=already, rate="")
        self.begun, self.frames = self.clock(), 0

    def done(self, frames: int) -> None:
        if self.task is None:
            return
        self.frames += frames
        rate = self.frames / max(self.clock() - self.begun, 1e-6)
        each = f"{1 / max(rate, 1e-9):.1f} s/{self.unit.removesuffix('s')}"
        shown = f"{rate:.1f} {self.unit}/s" if rate >= 1 or not self.frames else each
        self.bars.update(self.task, advance=frames, rate=shown)
