"""The time that a piece of a job takes, on the wall and on the cores."""

from __future__ import annotations

import time
from dataclasses import dataclass

from vidinv.process import cpu_seconds


@dataclass(frozen=True)
class Clock:
    """Since when something is done, in seconds of the wall and of the process's cores."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Clock:
        return cls(time.perf_counter(), cpu_seconds())

    def spent(self) -> dict[str, float]:
        """What a whole job took, as its report has it."""
        busy = self.busy()
        return {"wall_s": busy["busy_s"], "cpu_s": busy["cpu_s"]}

    def busy(self) -> dict[str, float]:
        """What has been spent since, as the report has it for every stage."""
        wall, cpu = time.perf_counter() - self.wall, cpu_seconds() - self.cpu
        return {"busy_s": round(wall, 3), "wait_s": 0.0, "cpu_s": round(cpu, 3)}
