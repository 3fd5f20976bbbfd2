"""What is asked of one clip, and what came of it: all that goes to a worker and comes back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from vidinv import config as configs
from vidinv.config import RunConfig

PASSING = (1, 3, 5, 7)  # exit codes of what may go another way when it is tried again


@dataclass(frozen=True)
class BatchOptions:
    """What is asked of every clip of a batch beside its configuration; the same words as `vidinv run` has."""

    preview: bool = False
    report: bool = False
    thumbnails: bool = True
    min_identity: float | None = None
    min_ic: float | None = None
    c2pa: bool = False
    watermark: bool = False
    command: str = ""


@dataclass(frozen=True)
class TaskOrder:
    """One clip: `source` is a path or URL, `name` the output's path below the batch's folder."""

    row: int
    source: str
    name: str
    config: RunConfig
    asked: BatchOptions = field(default_factory=BatchOptions)
    overwrite: bool = False

    def to_json(self) -> str:
        """What must be equal for a clip that is done to count for this order."""
        asked = {key: value for key, value in asdict(self.asked).items() if key != "command"}
        values = {"source": self.source, "config": configs.plain(self.config), "asked": asked}
        return json.dumps(values, sort_keys=True)

    @classmethod
    def of_json(cls, text: str, row: int, name: str) -> TaskOrder:
        """The order that `to_json` wrote."""
        values = json.loads(text)
        return cls(row, values["source"], name, configs.of_plain(values["config"]), BatchOptions(**values["asked"]))


@dataclass(frozen=True)
class Task:
    """A worker's piece of an order: the whole clip, or a step of one that is shared out by its shots.

    `plan` analyses the clip and finds its parts, or does it wholly where it is short; `part` renders the segments
    first <= n < end, `gather` joins them.
    """

    order: TaskOrder
    step: str = "whole"
    segments: tuple[int, int] = (0, 0)
    parts: tuple[tuple[int, int], ...] = ()  # that a gather joins


@dataclass(frozen=True)
class Outcome:
    """How a task ended: `code` as an exit code, its one-line `error`, figures for the summary, and what it said.

    `parts` are what a plan found: (first, end) of the segments of each.
    """

    code: int
    error: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    log: tuple[str, ...] = ()
    parts: tuple[tuple[int, int], ...] = ()

    @property
    def may_pass(self) -> bool:
        """Whether another try may end otherwise: a usage error, no face and a missed gate stay what they are."""
        return self.code in PASSING

    def within(self, seconds: float) -> Outcome:
        """The same, with the seconds of the tries before added."""
        return replace(self, seconds=round(self.seconds + seconds, 3))
