"""Measure the wall time and the CPU time of a part of a job."""

from __future__ import annotations

import time
from dataclasses import dataclass

from vidinv.process import cpu_seconds


@dataclass(frozen=True)
class Clock:
    """A start time, in seconds of wall time and of the CPU time of this process."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Clock:
        return cls(time.perf_counter(), cpu_seconds())

    def spent(self) -> dict[str, float]:
        """The times since the start under the report's keys for a whole job."""
        busy = self.busy()
        return {"wall_s": busy["busy_s"], "cpu_s": busy["cpu_s"]}

    def busy(self) -> dict[str, float]:
        """The times since the start under the report's keys for a stage."""
        wall, cpu = time.perf_counter() - self.wall, cpu_seconds() - self.cpu
        return {"busy_s": round(wall, 3), "wait_s": 0.0, "cpu_s": round(cpu, 3)}
