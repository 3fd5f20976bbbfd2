"""Reports that somebody hands over: a page is built, or one line says what is wrong; never anything else."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import simulated_reports
from tests.helpers.json_changes import changed
from vidinv import fileio
from vidinv.cli.main import main
from vidinv.errors import InputUnreadable
from vidinv.report import compare_page, page, report_file


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    made = simulated_reports.report(frames=12) | {"command": "vidinv run", "settings": {"crop": 512}}
    return dict(json.loads(json.dumps(made)))


@pytest.mark.parametrize("offset", range(2))
def test_any_change_of_a_report_is_refused_or_shown(document: dict[str, Any], offset: int) -> None:
    shown = refused = 0
    for name, made in islice(changed(document), offset, None, 53):
        try:
            report = fileio.parse_json(fileio.json_text(made))
        except fileio.BadJson:
            refused += 1
            continue
        if report_file.find_problem(report) is not None:
            refused += 1
            continue
        pages = page.build_report_page(report, []), compare_page.build_compare_page([("a", report), ("b", report)])
        assert all(each.encode().startswith(b"<!") for each in pages), name
        shown += 1
    assert shown > 2 and refused > 30


CONTENTS = {
    "nothing": b"",
    "text": b"<html>",
    "a list": b"[]",
    "a number": b"3",
    "bytes": b"\xff\xfe\x00",
    "no figures": b'{"schema": "vidinv-report/2"}',
    "deep": b"[" * 100_000,
    "another schema": b'{"schema": ["vidinv-report/2"]}',
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("compare", [False, True])
def test_what_is_no_report_ends_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, compare: bool
) -> None:
    path = tmp_path / "talk.mp4.json"
    path.write_bytes(content)
    arguments = ["report", "compare", str(path), str(path)] if compare else ["report", str(path)]
    assert main([*arguments, "-o", str(tmp_path / "page.html")]) == 3
    assert len(capsys.readouterr().err.strip().splitlines()) == 1 and not (tmp_path / "page.html").exists()


def test_a_report_over_the_limit_is_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "talk.mp4.json"
    with path.open("wb") as stream:
        stream.truncate(fileio.LARGEST_JSON + 1)
    assert main(["report", str(path)]) == 3 and "larger than" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../page", "a/b", "", "..", "nul\0"])
def test_the_name_of_an_output_does_not_lead_elsewhere(tmp_path: Path, document: dict[str, Any], name: str) -> None:
    path = tmp_path / "in" / "talk.mp4.json"
    path.parent.mkdir()
    path.write_text(json.dumps(document | {"output": {"path": name}}))
    with pytest.raises(InputUnreadable, match=r"output\.path"):
        report_file.read_report(path)
    assert main(["report", str(path)]) == 3 and [each.name for each in tmp_path.iterdir()] == ["in"]


def test_columns_fit_each_other(document: dict[str, Any]) -> None:
    for column, value in (("frame", 7), ("time_s", 0.1), ("time_s", 1e12), ("arcface_edit", 1e300)):
        made = json.loads(json.dumps(document))
        made["identity"]["tracks"][0]["per_frame"][column][0] = value
        assert report_file.find_problem(made), column
    made = json.loads(json.dumps(document))
    made["identity"]["tracks"][0]["per_frame"]["arcface_edit"].pop()
    assert "length" in str(report_file.find_problem(made))
    made = json.loads(json.dumps(document))
    made["identity"]["tracks"] *= 2
    assert "tracks" in str(report_file.find_problem(made))
