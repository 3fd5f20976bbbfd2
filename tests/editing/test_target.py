"""The search for a strength: straight and bent responses, what is out of reach, and how often it measures."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from vidinv.editing import target


@pytest.mark.parametrize(
    "response",
    [
        lambda s: 40 + 11 * s,
        lambda s: 40 + 4 * s,  # weaker than calibrated
        lambda s: 40 + 30 * s,  # stronger
        lambda s: 20 + 50 / (1 + math.exp(-2 * s)),
        lambda s: 40 + 11 * s + 3 * math.sin(3 * s),
    ],
)
@pytest.mark.parametrize("wanted", [33.0, 40.0, 52.0])
def test_it_lands_on_the_value(response: Callable[[float], float], wanted: float) -> None:
    calls: list[float] = []

    def value(strength: float) -> float:
        calls.append(strength)
        return response(strength)

    found = target.solve(value, wanted, 11.0, tolerance=0.5)
    assert abs(response(found.strength) - wanted) <= 0.5 and found.value == response(found.strength)
    assert len(calls) <= 8


def test_what_is_out_of_reach_is_approached_as_far_as_it_goes() -> None:
    found = target.solve(lambda s: 40 + 11 * s, 200.0, 11.0, tolerance=0.5)
    assert found.strength == target.REACH and found.value == pytest.approx(73)


def test_what_cannot_be_measured_is_said_by_nan() -> None:
    assert math.isnan(target.solve(lambda s: math.nan, 45.0, 11.0, tolerance=0.5).value)
    found = target.solve(lambda s: 40 + 11 * s if s < 1 else math.nan, 60.0, 11.0, tolerance=0.5)
    assert found == target.FoundStrength(0.0, 40.0)


def test_where_nothing_rises_the_nearest_is_taken() -> None:
    assert target.solve(lambda s: 40 - s * s, 45.0, 11.0, tolerance=0.5) == target.FoundStrength(0.0, 40.0)
