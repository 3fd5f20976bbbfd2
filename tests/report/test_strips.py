"""Which strips a page shows, and that it gives them back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from tests.helpers import simulated_reports
from vidinv.errors import InputUnreadable
from vidinv.report.strips import (
    APART,
    TIMELINE,
    WORST,
    Strip,
    choose_strips,
    shrink_strip,
    strips_from_html,
    strips_to_html,
)


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return simulated_reports.report(frames=1500, tracks=2)


@pytest.fixture(scope="module")
def strips(made: dict[str, Any]) -> list[Strip]:
    return simulated_reports.strips(made, every=5)


def size(strip: Strip) -> tuple[int, ...]:
    return cv2.imdecode(np.frombuffer(strip.jpeg, np.uint8), cv2.IMREAD_COLOR).shape


def test_the_timeline_is_small_even_and_reaches_both_ends(made: dict[str, Any], strips: list[Strip]) -> None:
    timeline, _ = choose_strips(made, strips)
    assert len(timeline) <= TIMELINE + 4 and {size(strip) for strip in timeline} == {(72, 216, 3)}
    for track in (0, 1):
        times = [strip.time_s for strip in timeline if strip.track == track]
        assert times[0] == 0.0 and times[-1] == max(strip.time_s for strip in strips)
        assert max(np.diff(times)) <= 2 * 60 / (TIMELINE / 2)  # two tracks of 60 seconds share it


def test_a_short_track_takes_its_share_and_no_more(strips: list[Strip], made: dict[str, Any]) -> None:
    short = [strip for strip in strips if strip.track == 0 or strip.time_s <= 3.0]
    timeline, _ = choose_strips(made, short)
    shares = [sum(strip.track == track for strip in timeline) for track in (0, 1)]
    assert shares[0] >= 100 and 2 <= shares[1] <= 8


def test_the_worst_are_the_lowest_and_apart_in_time_and_as_they_came(made: dict[str, Any], strips: list[Strip]) -> None:
    _, worst = choose_strips(made, strips)
    rows = {track["id"]: track["per_frame"]["arcface_edit"] for track in made["identity"]["tracks"]}
    values = [rows[strip.track][strip.frame] for strip in worst]
    assert len(worst) == WORST and values == sorted(values)
    assert values[0] == min(rows[strip.track][strip.frame] for strip in strips)
    assert all(strip in strips for strip in worst)
    pairs = [(a, b) for a in worst for b in worst if a is not b and a.track == b.track]
    assert all(abs(a.time_s - b.time_s) >= APART for a, b in pairs)
    near = [s for s in strips if all(s.track != w.track or abs(s.time_s - w.time_s) >= APART for w in worst)]
    assert values[-1] <= min(rows[s.track][s.frame] for s in near)  # nothing lower was passed over


def test_frames_that_were_not_compared_are_not_among_the_worst(made: dict[str, Any], strips: list[Strip]) -> None:
    track = made["identity"]["tracks"][0]
    rows = track["per_frame"] | {"arcface_edit": [None] * track["frames"]}
    blind = made | {"identity": made["identity"] | {"tracks": [track | {"per_frame": rows}]}}
    timeline, worst = choose_strips(blind, strips)
    assert timeline and not worst


def test_what_was_packed_is_unpacked(strips: list[Strip]) -> None:
    odd = replace(strips[3], time_s=1 / 3)
    assert strips_from_html(f"<p>before</p>{strips_to_html([odd, *strips[:5]])}<img src='other.png'>") == [
        odd,
        *strips[:5],
    ]


def test_choosing_again_from_what_was_chosen_gives_the_same(made: dict[str, Any], strips: list[Strip]) -> None:
    timeline, worst = choose_strips(made, strips)
    assert choose_strips(made, [*timeline, *worst]) == (timeline, worst)


def test_no_strips_are_none_chosen(made: dict[str, Any]) -> None:
    assert choose_strips(made, []) == ([], [])


def test_a_damaged_picture_in_a_page_is_named(strips: list[Strip]) -> None:
    with pytest.raises(InputUnreadable, match="damaged"):
        strips_from_html(strips_to_html(strips[:1]).replace("base64,", "base64,!"))
    with pytest.raises(InputUnreadable, match="damaged"):
        strips_from_html(strips_to_html(strips[:1]).replace('data-time="0.0"', ""))


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(InputUnreadable, match="track 1, frame 2"):
        shrink_strip(Strip(1, 2, 0.1, b"no picture"))
