"""Fingerprints: every field counts unless it is marked, and no two different values have one digest."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from vidinv import fingerprint
from vidinv.fingerprint import CODES, JOB, decides, deciding, digest


@dataclass(frozen=True)
class Inner:
    deep: int = 1
    shown: int = field(default=1, metadata=decides(JOB))


@dataclass(frozen=True)
class Outer:
    path: Path = Path("a")
    names: tuple[str, ...] = ("x", "y")
    inner: Inner = Inner()
    never: int = field(default=1, metadata=decides())


def of(value: Outer, result: str = JOB) -> str:
    return digest(deciding(value, result))


@pytest.mark.parametrize("other", [Outer(path=Path("b")), Outer(names=("xy",)), Outer(inner=Inner(deep=2))])
def test_an_unmarked_field_decides_every_result(other: Outer) -> None:
    assert of(other) != of(Outer()) and of(other, CODES) != of(Outer(), CODES)


def test_a_marked_field_decides_what_it_names_alone() -> None:
    shown = Outer(inner=Inner(shown=2))
    assert of(shown) != of(Outer()) and of(shown, CODES) == of(Outer(), CODES)
    assert of(Outer(never=2)) == of(Outer())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": True, "b": None}, {"a": "TrueNone", "b": ""}),
        ({"a": "1", "b": "23"}, {"a": "12", "b": "3"}),
        ({"a": None}, {"a": "None"}),
        ({"a": 1}, {"a": "1"}),
        ({"a": ["x,y"]}, {"a": ["x", "y"]}),
    ],
)
def test_values_keep_their_names_bounds_and_types(one: dict[str, object], other: dict[str, object]) -> None:
    assert digest(one) != digest(other)


def test_the_order_of_names_does_not_matter_and_what_json_cannot_hold_is_refused() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    with pytest.raises(TypeError):
        fingerprint.digest({"a": object()})
