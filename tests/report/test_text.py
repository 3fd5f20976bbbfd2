"""What a report's figures say in words, and that they say no more."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helpers import simulated_reports
from vidinv.report import text as report_text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00.00"), (7.404, "0:07.40"), (59.999, "1:00.00"), (3723.5, "1:02:03.50")]
)
def test_times_are_read_as_on_a_clock(seconds: float, text: str) -> None:
    assert report_text.clock(seconds) == text


def changed(made: dict[str, Any], **arcface: float | None) -> dict[str, Any]:
    identity = made["identity"]
    return made | {"identity": identity | {"arcface": identity["arcface"] | arcface}}


def test_the_answer_follows_the_gravest_thing_that_was_found() -> None:
    swapped, whole = simulated_reports.report(), simulated_reports.report(swapped=False)
    low = {"kind": "low_similarity", "track": 0, "from_s": 1.0, "to_s": 2.0, "text": "less alike than elsewhere"}
    assert report_text.answer(whole).level == "good"
    assert (
        report_text.answer(swapped).level == "bad"
        and "Another face was seen at 0:04.00" in report_text.answer(swapped).long
    )
    assert report_text.answer(swapped | {"flags": []}).long.startswith("The gate was missed.")
    assert report_text.answer(whole | {"flags": [low]}).short == "Not everywhere"
    assert report_text.answer(changed(whole, edit_min=0.2)).short == "Not in every frame"
    assert report_text.answer(changed(whole, edit_mean=0.3)).short == "Doubtful"
    assert report_text.answer(changed(whole, edit_mean=None)).level == "unknown"


def test_an_edit_says_what_was_asked_and_what_was_measured() -> None:
    edit = {"strength": 2.0, "effect": {"unit": "years", "asked": 19.96, "found": 18.1}}
    assert report_text.effect(edit) == "asked +2 = about +20 years, measured +18 years"
    assert report_text.effect(edit | {"effect": None}) == "asked +2, effect not measured"
    sought = edit | {"strength": -1.75, "target": 60.0, "reached": 58.31}
    assert report_text.effect(sought).startswith("asked for 60 years, reached 58.3, strength -1.75 = about +20 years")
    assert "+120 years" in report_text.effect(edit | {"effect": {"unit": "years", "asked": 123.4, "found": None}})


def test_the_gap_is_the_sources_consistency_less_the_edits() -> None:
    network = {"edit_mean": 0.8, "inversion_mean": None, "ic": {"source": 0.9, "inversion": None, "edit": 0.75}}
    rows = {row.name: row for row in report_text.headline({"arcface": network, "lightcnn": network})}
    assert rows["IC gap"].arcface == "0.15" and rows["Edit and source"].lightcnn == "0.80"
    assert "Inversion and source" not in rows  # nobody measured it


def test_a_value_of_nothing_has_no_sign() -> None:
    assert (report_text.number(-0.001), report_text.number(-0.02), report_text.number(None)) == ("0.00", "-0.02", "—")
