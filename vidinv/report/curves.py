"""Columns of a report as curves that a browser draws quickly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vidinv.frames import Array

POINTS = 2000  # of one curve
GAP = 10  # steps between two measured frames from which the curve is broken

EPOCH = 86_400_000  # ms on the charts' date axis where a clip begins: plotly takes a number of four digits for a year

Curve = tuple[list[float], list[float | None]]


def at(seconds: float) -> float:
    """Where a time of the clip lies on the axis, in milliseconds."""
    return round(EPOCH + seconds * 1000, 1)


def curve(times: Sequence[float], values: Sequence[float | None], points: int = POINTS) -> Curve:
    """(x, y) of what was measured, x as `at` has it, with at most about `points` entries.

    A longer column keeps the lowest and the highest of each of `points` / 2 runs of equal length, and its ends, so that
    no dip is lost. Where nothing was measured for more than GAP median steps stands a None, which breaks the line.
    """
    measured = [(time, value) for time, value in zip(times, values, strict=True) if value is not None]
    if not measured:
        return [], []
    table = np.array(measured)  # [n,2]
    steps = np.diff(table[:, 0], prepend=table[0, 0])
    stretch = np.cumsum(steps > GAP * np.median(steps[1:])) if len(table) > 1 else np.zeros(1)
    x: list[float] = []
    y: list[float | None] = []
    last = stretch[0]
    for index in _kept(table[:, 1], points):
        place = at(float(table[index, 0]))
        if stretch[index] != last:
            x.append(place)
            y.append(None)
            last = stretch[index]
        x.append(place)
        y.append(round(float(table[index, 1]), 4))
    return x, y


def _kept(values: Array, points: int) -> Array:
    """Indices of the entries that stay, rising."""
    if len(values) <= points:
        return np.arange(len(values))
    runs = np.array_split(np.arange(len(values)), points // 2)
    ends = [0, len(values) - 1]
    return np.unique([run[pick(values[run])] for run in runs for pick in (np.argmin, np.argmax)] + ends)
