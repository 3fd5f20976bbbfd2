"""Measure the throughput of a training and the time spent in each part of a turn."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

PARTS = ("data", "forward", "backward", "optimiser", "average", "log", "keep")  # keep: sample grids, checkpoints


@dataclass(frozen=True)
class Moment:
    """Wall-clock seconds, and CPU seconds of this process on all cores."""

    wall: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=time.process_time)


@dataclass(frozen=True)
class Report:
    """Images per wall-clock second and per CPU second; milliseconds per turn of each part, wall-clock and CPU."""

    images_per_s: float
    images_per_cpu_s: float
    ms: dict[str, float]
    cpu_ms: dict[str, float]


@dataclass
class Throughput:
    """Seconds spent in each part of the turns since the last report.

    Two clocks are read at the end of each part, which costs microseconds. No GPU synchronisation is added: the check
    of the loss ends the forward pass and that of the gradients the backward pass; work queued by the optimiser and
    the averaging counts towards the part that synchronises next.
    """

    last: Moment = field(default_factory=Moment)
    wall: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    cpu: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    turns: int = 0

    def record(self, part: str) -> None:
        """Add the time since the last call to `part`."""
        now = Moment()
        self.wall[part] += now.wall - self.last.wall
        self.cpu[part] += now.cpu - self.last.cpu
        self.last = now

    def report(self, batch: int) -> Report:
        """Return the report of the turns since the last one, each of `batch` images, and reset."""
        images, turns = self.turns * batch, max(self.turns, 1)
        found = Report(
            round(images / max(sum(self.wall.values()), 1e-9), 3),
            round(images / max(sum(self.cpu.values()), 1e-9), 3),
            {part: round(1e3 * spent / turns, 2) for part, spent in self.wall.items()},
            {part: round(1e3 * spent / turns, 2) for part, spent in self.cpu.items()},
        )
        self.wall, self.cpu, self.turns = dict.fromkeys(PARTS, 0.0), dict.fromkeys(PARTS, 0.0), 0
        return found
