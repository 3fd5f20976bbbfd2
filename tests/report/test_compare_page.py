"""Reports side by side."""

from __future__ import annotations

from statistics import fmean

import pytest

from tests.helpers import simulated_reports
from tests.helpers.page_contents import EVIL, Contents, shape
from vidinv.report import charts, compare_page


def test_each_report_has_its_row_and_an_odd_name_is_only_text() -> None:
    reports = [simulated_reports.report(swapped=False), simulated_reports.report(inversion=False, gate=None)]
    plain = Contents(compare_page.build_compare_page([("ours", reports[0]), ("theirs", reports[1])]))
    odd = Contents(compare_page.build_compare_page([("ours", reports[0]), (EVIL, reports[1])]))
    assert shape(plain) == shape(odd) and odd.text.count(EVIL) == 4  # the list, two networks, what was compared
    for report in reports:
        assert f"{report['identity']['arcface']['edit_mean']:.2f}" in plain.text
    assert "no gate set" in plain.text and "passed" in plain.text


def test_reports_of_one_name_share_a_box_over_their_tracks() -> None:
    reports = [simulated_reports.report(tracks=2), simulated_reports.report(frames=150, tracks=1)]
    tracks = [track for report in reports for track in report["identity"]["tracks"]]
    means = [track["arcface"]["ic"]["edit"] for track in tracks]
    html = compare_page.build_compare_page([("ours", report) for report in reports])
    assert "Over tracks" in html and f'"mean":[{round(fmean(means), 4)}]' in html
    assert "Over tracks" not in compare_page.build_compare_page([("a", reports[1]), ("b", reports[1])])


def test_boxes_keep_the_order_in_which_reports_were_given() -> None:
    groups = [("z", "edit", [0.5]), ("a", "source", [0.6]), ("a", "edit", [0.7])]
    assert charts.box_plot(groups, "").layout.xaxis.categoryarray == ("z", "a")


def test_equal_reports_give_an_equal_page() -> None:
    assert compare_page.build_compare_page([("a", simulated_reports.report())]) == compare_page.build_compare_page(
        [("a", simulated_reports.report())]
    )


def test_the_page_holds_no_picture() -> None:
    assert "img" not in shape(Contents(compare_page.build_compare_page([("a", simulated_reports.report())])))


@pytest.mark.parametrize("count", [1, 6])
def test_any_number_of_reports_is_shown(count: int) -> None:
    text = Contents(
        compare_page.build_compare_page([(f"clip {i}", simulated_reports.report(frames=40)) for i in range(count)])
    ).text
    assert f"{count} report" in text and f"clip {count - 1}" in text
