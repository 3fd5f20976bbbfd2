"""Curves: reduce the columns of a report to curves that a browser draws quickly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vidinv.frames import Array

POINTS = 2000  # points of a curve, at most
GAP = 10  # median steps between two measured frames above which the curve is interrupted

EPOCH = 86_400_000  # ms on the date axis at which a clip begins: plotly reads a number of four digits as a year

Curve = tuple[list[float], list[float | None]]


def axis_position(seconds: float) -> float:
    """The position of a time of the clip, given in seconds, on the charts' date axis, in milliseconds."""
    return round(EPOCH + seconds * 1000, 1)


def curve(times: Sequence[float], values: Sequence[float | None], points: int = POINTS) -> Curve:
    """The measured values as (x, y) with about `points` entries at most; x as `axis_position` returns it.

    A longer column keeps its ends and the lowest and highest value of each of `points` / 2 runs of equal length, so no
    dip is lost. A None interrupts the line where nothing was measured for more than GAP median steps.
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
    for index in _kept_indices(table[:, 1], points):
        place = axis_position(float(table[index, 0]))
        if stretch[index] != last:
            x.append(place)
            y.append(None)
            last = stretch[index]
        x.append(place)
        y.append(round(float(table[index, 1]), 4))
    return x, y


def _kept_indices(values: Array, points: int) -> Array:
    """The indices of the entries that are kept, ascending."""
    if len(values) <= points:
        return np.arange(len(values))
    runs = np.array_split(np.arange(len(values)), points // 2)
    ends = [0, len(values) - 1]
    return np.unique([run[pick(values[run])] for run in runs for pick in (np.argmin, np.argmax)] + ends)
