"""The page of a report: what it holds, what it escapes, how large it is."""

from __future__ import annotations

import copy
import gzip
import hashlib
from statistics import fmean, quantiles
from typing import Any

import cv2
import numpy as np
import pytest

from tests.helpers import simulated_reports
from tests.helpers.page_contents import EVIL, Contents, shape
from vidinv.errors import InputUnreadable
from vidinv.report import charts, document, page
from vidinv.report.strips import Strip, shrink_strip, strips_from_html


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return simulated_reports.report(tracks=2)


@pytest.mark.parametrize(
    "kind",
    [{}, {"tracks": 3}, {"swapped": False}, {"inversion": False}, {"gate": None}, {"frames": 1, "swapped": False}],
)
def test_what_these_tests_build_on_is_valid_and_makes_a_page(kind: dict[str, Any]) -> None:
    made = simulated_reports.report(**{"frames": 60} | kind)
    simulated_reports.check(made)
    assert strips_from_html(page.build_report_page(made, simulated_reports.strips(made)))


def test_text_of_the_report_is_text_in_the_page(made: dict[str, Any]) -> None:
    evil = copy.deepcopy(made)
    evil["input"]["path"] = evil["output"]["path"] = evil["parts"][0]["licence"] = evil["flags"][0]["text"] = EVIL
    evil["edits"][0] |= {"name": EVIL, "effect": {"unit": EVIL, "asked": 1.0, "found": 1.0}}
    evil |= {"versions": {"vidinv": EVIL}, "warnings": [EVIL], "command": EVIL, "settings": {EVIL: EVIL}}
    benign = made | {"versions": {"vidinv": "1"}, "warnings": ["w"], "command": "c", "settings": {"a": "b"}}
    for track in evil["identity"]["tracks"]:
        track["attributes"] = {EVIL: track["attributes"]["age"] | {"unit": EVIL}}
        for picture in ("source", "edit"):
            track["per_frame"][f"{EVIL}_{picture}"] = track["per_frame"][f"age_{picture}"]
    simulated_reports.check(evil)
    html = page.build_report_page(evil, simulated_reports.strips(made, every=50))
    assert shape(Contents(html)) == shape(
        Contents(page.build_report_page(benign, simulated_reports.strips(made, every=50)))
    )
    assert Contents(html).text.count(EVIL) >= 8
    assert "<script>hacked" not in html and "<img src=x" not in html


def test_equal_reports_give_equal_bytes_and_an_old_page_serves_again(made: dict[str, Any]) -> None:
    strips = simulated_reports.strips(made, every=2)
    html = page.build_report_page(made, strips)
    assert page.build_report_page(copy.deepcopy(made), strips) == html
    assert page.build_report_page(made, strips_from_html(html)) == html


def test_a_page_without_pictures_is_under_a_megabyte(made: dict[str, Any]) -> None:
    assert len(page.build_report_page(made, []).encode()) < 1_000_000


def test_the_library_of_the_charts_is_the_published_one() -> None:
    plain = gzip.decompress((document.ASSETS / document.LIBRARY).read_bytes())
    assert hashlib.sha256(plain).hexdigest() in (document.ASSETS / "plotly.md").read_text(encoding="utf-8")


def test_ten_minutes_stay_small() -> None:
    made = simulated_reports.report(frames=15000)
    html = page.build_report_page(made, simulated_reports.strips(made, every=25))
    assert len(html.encode()) < 6_000_000
    figure = charts.track_chart(made, made["identity"]["tracks"][0])
    assert max(len(trace.x) for trace in figure.data) <= 2010


def test_the_answer_comes_first_in_plain_words(made: dict[str, Any]) -> None:
    text = Contents(page.build_report_page(made, [])).text
    order = [
        "Is it still the same person?",
        "Not all the way through",
        "Gate missed",
        "Edit and source",
        "Flags",
        "Worst",
    ]
    places = [text.index(part, text.index("What this file holds")) for part in order]  # after the list of sections
    assert places == sorted(places)
    assert "asked +2 = about +20 years, measured +18 years" in text
    assert "non-commercial research use only" in text and "b" * 64 in text and "torch 2.8.0" in text


def test_the_page_says_whether_it_holds_pictures(made: dict[str, Any]) -> None:
    without = Contents(page.build_report_page(made, []))
    assert "holds no pictures" in without.text and not any("data-frame" in found for _, found in without.tags)
    html = page.build_report_page(made, simulated_reports.strips(made, every=10))
    held = len(strips_from_html(html))
    assert f"{held} pictures of faces" in Contents(html).text and "biometric data" in html


def test_a_comparison_of_two_files_speaks_of_no_inversion() -> None:
    made = simulated_reports.report(inversion=False)
    text = Contents(page.build_report_page(made, simulated_reports.strips(made, every=10))).text
    assert "source | edit" in text and "nversion" not in text


def test_a_report_in_which_nothing_was_measured_makes_a_page(made: dict[str, Any]) -> None:
    nothing = {"source": None, "inversion": None, "edit": None}
    network = {"inversion_mean": None, "edit_mean": None, "ic": nothing}
    identity = {"arcface": network, "lightcnn": network, "tracks": []}
    empty = made | {"identity": identity, "gate": None, "flags": [], "edits": [], "parts": [], "cuts_s": []}
    simulated_reports.check(empty)
    assert "Not measured" in page.build_report_page(empty, [])
    track = {"id": 0, "frames": 0, "arcface": network, "lightcnn": network, "per_frame": {"frame": [], "time_s": []}}
    assert "track-0" in page.build_report_page(empty | {"identity": identity | {"tracks": [track]}}, [])


def test_boxes_hold_the_frames_quartiles(made: dict[str, Any]) -> None:
    track = made["identity"]["tracks"][1]
    (box,) = [trace for trace in charts.consistency_chart([("one", [track])]).data if trace.name == "edit"]
    values = [value for value in track["per_frame"]["arcface_ic_edit"] if value is not None]
    expected = [*quantiles(values, n=4, method="inclusive"), min(values), max(values), fmean(values)]
    drawn = [box.q1[0], box.median[0], box.q3[0], box.lowerfence[0], box.upperfence[0], box.mean[0]]
    assert drawn == pytest.approx(expected, abs=1e-4)
    assert fmean(values) == pytest.approx(track["arcface"]["ic"]["edit"], abs=1e-4)  # Eq. 9


def test_the_chart_shows_cuts_flags_and_the_gate(made: dict[str, Any]) -> None:
    figure = charts.track_chart(made, made["identity"]["tracks"][0])
    named = {trace.name: trace for trace in figure.data}
    assert len([x for x in named["cuts"].x if x is not None]) == 2 * len(made["cuts_s"])
    assert {"another person", "blur", "profile view"} <= set(named)
    labels = [shape.label.text for shape in figure.layout.shapes]
    assert "gate 0.5" in labels and sum(label is None for label in labels) == 1  # and the span of another person
    other = charts.track_chart(made, made["identity"]["tracks"][1])
    assert "another person" not in {trace.name for trace in other.data}  # that is flagged on track 0


@pytest.mark.parametrize("picture", ["text", "one column"])
def test_a_strip_that_is_no_strip_is_refused_or_drawn(picture: str) -> None:
    """Strips come out of a page that somebody may have changed."""
    content = b"text" if picture == "text" else cv2.imencode(".jpg", np.zeros((2000, 1, 3), np.uint8))[1].tobytes()
    strip = Strip(0, 0, 0.0, content)
    if picture == "text":
        with pytest.raises(InputUnreadable, match="strip of track 0"):
            shrink_strip(strip)
    else:
        assert cv2.imdecode(np.frombuffer(shrink_strip(strip).jpeg, np.uint8), cv2.IMREAD_COLOR).shape[1] == 1
