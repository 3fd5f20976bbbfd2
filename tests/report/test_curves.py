"""Long columns as curves: short enough for a browser, and no dip is lost."""

from __future__ import annotations

import numpy as np

from vidinv.report.curves import axis_position, curve


def test_a_short_column_stays_as_it_is_without_what_was_not_measured() -> None:
    assert curve([0.0, 0.04, 0.08], [0.5, None, 0.7]) == ([axis_position(0.0), axis_position(0.08)], [0.5, 0.7])
    assert curve([0.0, 0.04], [None, None]) == ([], [])


def test_a_dip_and_a_peak_of_one_frame_survive_ten_minutes() -> None:
    values = np.random.default_rng(0).uniform(0.6, 0.8, 15000)
    values[7777], values[1234] = 0.1, 0.95
    x, y = curve([i / 25 for i in range(15000)], values.tolist())
    assert len(x) == len(y) <= 2010 and x == sorted(x)
    assert y[x.index(axis_position(7777 / 25))] == 0.1 and y[x.index(axis_position(1234 / 25))] == 0.95
    assert (x[0], x[-1]) == (axis_position(0), axis_position(14999 / 25))


def test_the_curve_stays_between_each_runs_lowest_and_highest() -> None:
    values = np.cumsum(np.random.default_rng(1).standard_normal(5000))
    times = [i / 25 for i in range(5000)]
    x, y = curve(times, values.tolist(), points=100)
    kept = dict(zip(x, y, strict=True))
    for run in np.array_split(np.arange(5000), 50):
        inside = [kept[axis_position(times[i])] for i in run if axis_position(times[i]) in kept]
        assert min(inside) == round(values[run].min(), 4) and max(inside) == round(values[run].max(), 4)


def test_the_line_breaks_where_the_face_was_away() -> None:
    times = [0.0, 0.04, 0.08, 5.0, 5.04, 5.08]
    x, y = curve(times, [0.7] * 6)
    assert y == [0.7, 0.7, 0.7, None, 0.7, 0.7, 0.7] and x[3] == x[4] == axis_position(5.0)
    assert None not in curve([0.0, 0.2, 0.4, 0.6], [0.7] * 4)[1]  # every fifth frame is no gap
