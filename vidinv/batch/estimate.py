"""Estimate the cost of a batch before it starts: every clip is opened, none is decoded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from vidinv.batch import storage
from vidinv.batch.task import TaskOrder
from vidinv.errors import VidinvError
from vidinv.exit_codes import exit_code_and_message
from vidinv.jobs import cost_estimate
from vidinv.media.probe import probe


@dataclass(frozen=True)
class Estimate:
    """A clip's frames, seconds on two cores and MB of output; `code` is an exit code if it cannot be read."""

    row: int
    name: str
    source: str
    frames: int = 0
    seconds: float = 0.0
    megabytes: float = 0.0
    code: int = 0
    error: str = ""


def estimate_clip(order: TaskOrder) -> Estimate:
    """Estimate an order, for one face in every frame; a remote clip has no estimate."""
    known = Estimate(order.row, order.name, order.source)
    if storage.is_url(order.source):
        return replace(known, error="not estimated: the clip is remote")
    try:
        return _of(order, known)
    except VidinvError as error:
        code, line = exit_code_and_message(error)
        return replace(known, code=code, error=line)


def _of(order: TaskOrder, known: Estimate) -> Estimate:
    path = Path(order.source)
    info = probe(path, order.config.stream)
    frames = info.frame_count or round(info.duration_s * 25)
    second_each = info.duration_s / max(frames, 1)
    seconds = (
        cost_estimate.render_seconds(order.config, frames, frames, 1, second_each)
        if order.config.edits
        else frames * cost_estimate.COPIED
    )
    if order.config.edits and order.config.tune != "none":
        seconds += cost_estimate.tuning_seconds(order.config)
    size = max(info.bit_rate * info.duration_s / 8, path.stat().st_size if path.is_file() else 0)
    return replace(known, frames=frames, seconds=round(seconds, 1), megabytes=round(size / 1e6, 3))
