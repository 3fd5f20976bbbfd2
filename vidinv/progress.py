"""Report the progress of a job or a training: one interface, shown as a terminal bar, as JSON lines or not at all."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Protocol

from vidinv.terminal import escape_controls, print_line

EVERY = 0.5  # seconds between JSON lines
RATE_PERIOD = 3600.0  # seconds of work that the time left is estimated from; one step can take minutes


class Progress(Protocol):
    """Receives the progress of a job or a training.

    `say` receives a line of text (a warning, what was made); `announce` one on what is to come, for those who watch;
    `phase` starts a phase of `total` steps (0: unknown), of which an earlier run did
    `done_before`; `advance` receives the number of newly finished steps.
    """

    def say(self, line: str) -> None: ...

    def announce(self, line: str) -> None: ...

    def phase(self, name: str, total: int, done_before: int = 0) -> None: ...

    def advance(self, count: int) -> None: ...


class ProgressDisplay(Progress, Protocol):
    """Shows progress to a user; `fail` always prints its line to standard error."""

    def fail(self, line: str) -> None: ...


class SilentProgress:
    """Shows only failures."""

    def say(self, line: str) -> None: ...

    def announce(self, line: str) -> None: ...

    def fail(self, line: str) -> None:
        print_line(line, error=True)

    def phase(self, name: str, total: int, done_before: int = 0) -> None: ...

    def advance(self, count: int) -> None: ...


class PlainLines(SilentProgress):
    """Prints every line of text to standard error, and no progress: for logs, and for --progress none."""

    def say(self, line: str) -> None:
        print_line(line, error=True)


class LogLines(SilentProgress):
    """Collects lines of text in `lines`, and shows only failures."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def announce(self, line: str) -> None:
        self.lines.append(line)


class PhaseProgress:
    """Forwards the steps of a nested piece of work to `progress` as the phase `name`; drops its lines of text."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress, self._name = progress, name

    def say(self, line: str) -> None: ...

    def announce(self, line: str) -> None: ...

    def phase(self, name: str, total: int, done_before: int = 0) -> None:
        self._progress.phase(self._name, total, done_before)

    def advance(self, count: int) -> None:
        self._progress.advance(count)


class JsonLines:
    """Prints one JSON object per line to standard error: {"event": "say" | "failure" | "phase" | "progress", ...}."""

    def __init__(self, unit: str = "frames") -> None:
        self.unit = unit
        self.name, self.total, self.frames, self.already, self.at, self.started = "", 0, 0, 0, 0.0, 0.0

    def say(self, line: str) -> None:
        self._write({"event": "say", "text": line})

    def announce(self, line: str) -> None:
        self.say(line)

    def fail(self, line: str) -> None:
        self._write({"event": "failure", "text": line})

    def phase(self, name: str, total: int, done_before: int = 0) -> None:
        if self.name:
            self._progress()
        self.name, self.total, self.frames, self.already = name, total, done_before, done_before
        self.at = self.started = time.monotonic()
        self._write({"event": "phase", "name": name, self.unit: total})

    def advance(self, count: int) -> None:
        self.frames += count
        if time.monotonic() - self.at >= EVERY:
            self._progress()

    def _progress(self) -> None:
        self.at = time.monotonic()
        rate = (self.frames - self.already) / max(self.at - self.started, 1e-6)
        left = round((self.total - self.frames) / rate, 1) if self.total and rate else None
        facts = {"phase": self.name, self.unit.removesuffix("s"): self.frames, "of": self.total, "left_s": left}
        facts |= {"fps": round(rate, 2)} if self.unit == "frames" else {}
        self._write({"event": "progress"} | facts)

    def _write(self, event: dict[str, object]) -> None:
        print_line(json.dumps(event), error=True)


class ProgressBar:
    """Shows a bar with the rate and the time left on standard error; `clock` returns seconds.

    As a context manager it starts and stops itself; otherwise it starts with its first phase and `close` stops it.
    """

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
            speed_estimate_period=RATE_PERIOD,
            get_time=clock,
        )
        self.clock, self.unit = clock, unit
        self.task: TaskID | None = None
        self.started = 0.0
        self.frames = 0

    def __enter__(self) -> ProgressBar:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Draw the bar for the last time and release the terminal."""
        self.bars.stop()

    def say(self, line: str) -> None:
        self.bars.console.print(escape_controls(line), markup=False, emoji=False, highlight=False, soft_wrap=True)

    def announce(self, line: str) -> None:
        self.say(line)

    def fail(self, line: str) -> None:
        self.say(line)

    def phase(self, name: str, total: int, done_before: int = 0) -> None:
        self.bars.start()  # if it is not used as a context manager
        self.task = self.bars.add_task(name, total=total or None, completed=done_before, rate="")
        self.started, self.frames = self.clock(), 0

    def advance(self, count: int) -> None:
        if self.task is None:
            return
        self.frames += count
        rate = self.frames / max(self.clock() - self.started, 1e-6)
        each = f"{1 / max(rate, 1e-9):.1f} s/{self.unit.removesuffix('s')}"
        shown = f"{rate:.1f} {self.unit}/s" if rate >= 1 or not self.frames else each
        self.bars.update(self.task, advance=count, rate=shown)
