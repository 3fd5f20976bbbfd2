"""How quick a training is, and where its time goes, measured by the loop itself."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

PARTS = ("data", "forward", "backward", "optimiser", "average", "log", "keep")  # keep: sample grids, checkpoints


@dataclass(frozen=True)
class Moment:
    """Seconds of the clock on the wall, and of this process on all cores."""

    wall: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=time.process_time)


@dataclass(frozen=True)
class Report:
    """Images a second of the wall and of a core's time; milliseconds a turn by part, on the wall and of all cores."""

    images_per_s: float
    images_per_cpu_s: float
    ms: dict[str, float]
    cpu_ms: dict[str, float]


@dataclass
class Throughput:
    """Seconds of every part of a training's turns since the last report.

    Two clocks are read at the end of each part, which costs microseconds. On a GPU nothing is waited for that is not
    waited for anyway: the check of the loss ends the forward pass there and that of the gradients the backward pass;
    what optimiser and averaged weights have queued counts to whatever waits next.
    """

    last: Moment = field(default_factory=Moment)
    wall: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    cpu: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    turns: int = 0

    def was(self, part: str) -> None:
        """All that was done since the last call was `part`."""
        now = Moment()
        self.wall[part] += now.wall - self.last.wall
        self.cpu[part] += now.cpu - self.last.cpu
        self.last = now

    def report(self, batch: int) -> Report:
        """Of the turns since the last report, each of `batch` images."""
        images, turns = self.turns * batch, max(self.turns, 1)
        found = Report(
            round(images / max(sum(self.wall.values()), 1e-9), 3),
            round(images / max(sum(self.cpu.values()), 1e-9), 3),
            {part: round(1e3 * spent / turns, 2) for part, spent in self.wall.items()},
            {part: round(1e3 * spent / turns, 2) for part, spent in self.cpu.items()},
        )
        self.wall, self.cpu, self.turns = dict.fromkeys(PARTS, 0.0), dict.fromkeys(PARTS, 0.0), 0
        return found
