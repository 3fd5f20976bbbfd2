"""The page of a batch: a line for each clip, names as text alone, and columns that sort."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.browser import Page, browser
from tests.helpers.page_contents import EVIL, Contents, shape
from vidinv.report import batch_page

COLUMN = "[...document.querySelectorAll('tbody tr')].map((row) => row.cells[{}].textContent)"
PRESS = "document.querySelectorAll('th button')[{}].click()"


def found(names: tuple[str, ...] = ("b.mp4", "a.mp4", "c.mp4")) -> dict[str, Any]:
    """A batch whose second clip failed."""
    files = [names[0], f"{names[0]}.json"]
    figures = [{"frames": 9, "arcface": 0.5, "files": files}, {}, {"frames": 100, "arcface": 0.9}]
    clips = [
        {
            "row": n,
            "name": name,
            "source": name,
            "edits": ["age+2"],
            "state": "done" if figures[n - 1] else "failed",
            "tries": 1,
            "code": 0 if figures[n - 1] else 3,
            "error": "" if figures[n - 1] else "no video",
            "seconds": 1.5 * n,
            "figures": figures[n - 1],
        }
        for n, name in enumerate(names, 1)
    ]
    totals = {"clips": 3, "done": 2, "failed": 1, "waiting": 0, "running": 0, "frames": 109}
    return {"input": names[0], "exit_code": 3, "clips": clips, "totals": totals, "versions": {}}


def test_an_odd_name_is_only_text_and_its_links_are_quoted() -> None:
    plain, odd = (Contents(batch_page.build_batch_page(found(names))) for names in (("b", "a", "c"), (EVIL, "a", "c")))
    assert shape(plain) == shape(odd)
    assert "no video (exit code 3)" in odd.text
    assert 'href="a%20b.mp4.json"' in batch_page.build_batch_page(found(("a b.mp4", "c", "d")))


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


def test_a_press_on_a_head_sorts_and_a_second_one_turns_it(tab: Page, tmp_path: Path) -> None:
    (tmp_path / "batch.html").write_text(batch_page.build_batch_page(found()), encoding="utf-8")
    tab.open(tmp_path / "batch.html")
    tab.value(PRESS.format(1))
    assert tab.value(COLUMN.format(1)) == ["a.mp4", "b.mp4", "c.mp4"]
    tab.value(PRESS.format(4))
    assert tab.value(COLUMN.format(4)) == ["9", "100", "—"]
    tab.value(PRESS.format(4))
    assert tab.value(COLUMN.format(4)) == ["100", "9", "—"]
    assert not tab.complaints
