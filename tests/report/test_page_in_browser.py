"""The pages in a real browser: they load in silence, answer to the pointer and to keys, and print."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import simulated_reports
from tests.helpers.browser import Page, browser
from tests.helpers.page_contents import EVIL
from vidinv.report import compare_page, page

SAID = "document.querySelector('.viewer output').textContent"
SHOWN = "document.querySelector('.viewer img').src"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return simulated_reports.report()


@pytest.fixture(scope="module")
def html(made: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page.build_report_page(made, simulated_reports.strips(made)), encoding="utf-8")
    return path


def fresh(tab: Page, html: Path, **look: Any) -> None:
    tab.complaints.clear()
    tab.requests.clear()
    tab.look(**look)
    tab.open(html)


def silent(tab: Page, html: Path) -> None:
    """Nothing was complained of, and nothing but the page itself was asked for."""
    assert not tab.complaints
    assert [address for address in tab.requests if not address.startswith("data:")] == [html.as_uri()]


def values(made: dict[str, Any], frame: int) -> list[str]:
    """What is to be said at a frame that ArcFace saw."""
    rows = made["identity"]["tracks"][0]["per_frame"]
    return [f"ArcFace {name} {rows[f'arcface_{name}'][frame]:.2f}" for name in ("inversion", "edit")]


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_loads_in_silence_and_asks_for_nothing(tab: Page, html: Path, dark: bool) -> None:
    fresh(tab, html, dark=dark)
    tab.screenshot()
    silent(tab, html)
    dim = tab.value("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0] < 128")
    ink = tab.value("getComputedStyle(document.querySelector('.xtick text')).fill.match(/[0-9]+/)[0] < 128")
    assert (dim, ink) == (dark, not dark)  # the charts' text follows the theme


def test_a_comparison_loads_in_silence_too(tab: Page, tmp_path: Path) -> None:
    html = tmp_path / "compared.html"
    reports = [("ours", simulated_reports.report(tracks=2)), (EVIL, simulated_reports.report(inversion=False))]
    html.write_text(compare_page.build_compare_page(reports), encoding="utf-8")
    fresh(tab, html)
    silent(tab, html)
    assert tab.value("typeof hacked") == "undefined"
    drawn = tab.value("[...document.querySelectorAll('.xtick text')].map((e) => e.textContent)")
    assert EVIL in drawn  # letter by letter, tags and all


def test_the_page_may_reach_nothing_even_if_it_tried(tab: Page, html: Path) -> None:
    fresh(tab, html)
    tried = """new Promise((done) => {
        addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective));
        fetch('https://example.org/').catch(() => {});
    })"""
    assert tab.value(tried) == "connect-src"
    added = """new Promise((done) => {
        addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective));
        const script = document.createElement('script');
        script.textContent = 'hacked = 1';
        document.body.append(script);
    })"""
    assert tab.value(added) == "script-src-elem" and tab.value("typeof hacked") == "undefined"


def test_a_name_that_is_a_program_does_nothing(tab: Page, made: dict[str, Any], tmp_path: Path) -> None:
    html = tmp_path / "evil.html"
    flags = [flag | {"text": EVIL} for flag in made["flags"]]
    evil = made | {"input": made["input"] | {"path": EVIL}, "flags": flags, "warnings": [EVIL]}
    html.write_text(page.build_report_page(evil, []), encoding="utf-8")
    fresh(tab, html)
    assert not tab.complaints and tab.value("typeof hacked") == "undefined"
    assert tab.value("document.title") == f"Identity report: {EVIL}"


def test_the_pointer_shows_the_values_and_the_pictures_under_it(tab: Page, html: Path, made: dict[str, Any]) -> None:
    fresh(tab, html)
    tab.value("document.querySelector('.track').scrollIntoView()")
    plot = "document.querySelector('.chart .nsewdrag').getBoundingClientRect()"
    left, top, width = (tab.value(f"{plot}.{side}") for side in ("left", "top", "width"))
    first = tab.value(SHOWN)
    tab.point(left + width * 103 / 199, top + 100)
    tab.wait(f"{SAID}.startsWith('0:04.12')")
    assert all(value in tab.value(SAID) for value in values(made, 103))
    assert "Flag: another face than in the source" in tab.value(SAID)
    held = tab.value("document.querySelector('img[data-frame=\"103\"]')?.src")
    assert tab.value(SHOWN) != first and (held is None or tab.value(SHOWN) == held)
    assert "another person" in tab.value("document.querySelector('.chart').textContent")
    middle = tab.value("(([b]) => b.left + b.width / 2)(document.querySelector('.seen').getClientRects())")
    assert middle == pytest.approx(left + width * 103 / 199, abs=12)
    assert tab.value("document.querySelector('.hoverlayer').textContent").count("ArcFace") == 2


def test_the_arrow_keys_go_from_frame_to_frame(tab: Page, html: Path, made: dict[str, Any]) -> None:
    fresh(tab, html)
    tab.value("document.querySelector('.viewer input').focus()")
    for _ in range(3):
        tab.press("ArrowRight")
    tab.wait(f"{SAID}.startsWith('0:00.12')")
    assert all(value in tab.value(SAID) for value in values(made, 3))
    tab.press("ArrowLeft")
    tab.wait(f"{SAID}.startsWith('0:00.08')")
    tab.wait("document.querySelector('.hoverlayer').textContent.startsWith('0:00.08')")  # the chart goes along
    tab.press("End")
    tab.wait(f"{SAID}.startsWith('0:07.96')")
    assert not tab.complaints


def test_a_screen_reader_finds_the_sections_the_tables_and_the_slider(tab: Page, html: Path) -> None:
    fresh(tab, html)
    tree = tab.call("Accessibility.getFullAXTree")["nodes"]
    found = {(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if "role" in node}
    assert ("slider", "Time in the clip, track 0") in found
    assert ("heading", "Is it still the same person?") in found and ("navigation", "Sections") in found
    assert {"Headline figures, by two networks", "Where the gate was missed"} <= {n for r, n in found if r == "table"}
    assert any(role == "main" for role, _ in found) and ("region", "Flags") in found
    assert tab.value("[...document.images].every((image) => image.alt)")
    assert tab.value("document.querySelector('.viewer output').getAttribute('aria-live')") == "polite"


@pytest.mark.parametrize("width", [400, 800, 1400])
def test_nothing_sticks_out_of_the_window(tab: Page, html: Path, width: int) -> None:
    fresh(tab, html, width=width)
    assert tab.value("document.documentElement.scrollWidth") <= width


def test_it_prints_with_its_charts_within_the_paper(tab: Page, html: Path) -> None:
    fresh(tab, html, dark=True)
    tab.value(
        "addEventListener('beforeprint', () => { printed = document.querySelector('.chart .main-svg').clientWidth })"
    )
    paper = tab.pdf()
    assert paper.startswith(b"%PDF") and 3 <= len(re.findall(rb"/Type\s*/Page\b", paper)) <= 12
    assert 0 < tab.value("printed") <= 700
    tab.wait("document.querySelector('.chart .main-svg').clientWidth > 900")  # and afterwards as before


def test_ten_minutes_answer_to_keys(tab: Page, tmp_path: Path) -> None:
    made = simulated_reports.report(frames=15000)
    html = tmp_path / "long.html"
    html.write_text(page.build_report_page(made, simulated_reports.strips(made, every=250)), encoding="utf-8")
    fresh(tab, html)
    tab.value("document.querySelector('.viewer input').focus()")
    tab.press("End")
    tab.wait(f"{SAID}.startsWith('9:59.96')")
    assert not tab.complaints
