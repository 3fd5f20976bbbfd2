"""Define the messages between driver and workers: tasks and their outcomes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from vidinv import config as configs
from vidinv import fileio
from vidinv.config import RunConfig

RETRIED_EXIT_CODES = (1, 3, 5, 7)  # errors that may not occur again


@dataclass(frozen=True)
class BatchOptions:
    """Options of every clip of a batch besides its configuration; they are named as those of `vidinv run`."""

    preview: bool = False
    report: bool = False
    thumbnails: bool = True
    min_identity: float | None = None
    min_ic: float | None = None
    c2pa: bool = False
    watermark: bool = False
    force: bool = False
    command: str = ""


@dataclass(frozen=True)
class TaskOrder:
    """One clip: `source` is a path or URL, `name` the output's path below the batch's folder."""

    row: int
    source: str
    name: str
    config: RunConfig
    options: BatchOptions = field(default_factory=BatchOptions)
    overwrite: bool = False

    def to_json(self) -> str:
        """The parts of the order that must be equal for a finished clip to satisfy it, as JSON."""
        options = {key: value for key, value in asdict(self.options).items() if key not in ("command", "force")}
        values = {"source": self.source, "config": configs.plain(self.config), "asked": options}
        return json.dumps(values, sort_keys=True)

    @classmethod
    def of_json(cls, text: str, row: int, name: str) -> TaskOrder:
        """The order that `to_json` wrote. Raises ValueError, KeyError, TypeError or UsageError for another text."""
        values = fileio.parse_json(text)
        asked = fileio.record_of(BatchOptions, values["asked"])
        return cls(row, str(values["source"]), name, configs.of_plain(values["config"]), asked)


@dataclass(frozen=True)
class Task:
    """A worker's task: a `whole` clip, or a step of a clip that is split at its cuts.

    `plan` analyses the clip and returns its parts, or processes a short clip at once; `part` renders the segments
    first <= n < end; `gather` joins the `parts`.
    """

    order: TaskOrder
    step: str = "whole"
    segments: tuple[int, int] = (0, 0)
    parts: tuple[tuple[int, int], ...] = ()  # of a gather


@dataclass(frozen=True)
class Outcome:
    """The result of a task: exit code, one-line `error`, figures for the summary, and log lines.

    `parts` are the result of a plan: (first, end) of the segments of each part.
    """

    code: int
    error: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    log: tuple[str, ...] = ()
    parts: tuple[tuple[int, int], ...] = ()

    @property
    def may_succeed_later(self) -> bool:
        """Whether another try may succeed: not after a usage error, a clip without faces or a missed gate."""
        return self.code in RETRIED_EXIT_CODES

    def within(self, seconds: float) -> Outcome:
        """The same outcome with the `seconds` of earlier steps added."""
        return replace(self, seconds=round(self.seconds + seconds, 3))
