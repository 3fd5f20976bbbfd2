"""Fuzz the reports that `vidinv report` reads: the JSON beside an output, and what a page makes of it."""

from __future__ import annotations

import json
from functools import cache
from random import Random
from typing import Any

import typer

from tests.fuzz.harness import folder, mutated, refusals, written
from tests.helpers import simulated_reports
from vidinv.cli.main import app
from vidinv.errors import InputUnreadable, UsageError

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 10**30, 0.5, 1e308, float("nan"), float("inf"), "", "a", "../../x", "\0", "\ud800"),
    *([], {}, [[]], [None], {"": None}, "<script>", "a" * 5000, [1] * 5000, 1 << 63, "1e9", "0:03"),
)


@cache
def samples() -> list[bytes]:
    """Reports of short clips."""
    made = [
        simulated_reports.report(20),
        simulated_reports.report(20, tracks=2, swapped=False, gate=None),
        simulated_reports.report(20, inversion=False),
    ]
    return [json.dumps(report).encode() for report in made]


def make(chance: Random) -> bytes:
    """A damaged report, or one in which some values are of another type, extreme or missing."""
    if chance.random() < 0.2:
        return mutated(samples(), chance)
    report = json.loads(chance.choice(samples()))
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        _change(report, chance)
    return json.dumps(report).encode("utf-8", "surrogatepass")


def _change(report: dict[str, Any], chance: Random) -> None:
    """Change or remove one value at any depth."""
    here: Any = report
    while True:
        places = sorted(here) if isinstance(here, dict) else list(range(len(here)))
        if not places:
            return
        place = chance.choice(places)
        inner = here[place]
        if isinstance(inner, (dict, list)) and inner and chance.random() < 0.8:
            here = inner
        elif chance.random() < 0.2:
            del here[place]
            return
        else:
            here[place] = chance.choice(VALUES)
            return


def one(data: bytes) -> None:
    """Build the page of the report `data`, and compare it with a whole one."""
    path, whole = written(data, "a.mp4.json"), written(samples()[0], "b.mp4.json")
    before = {entry.name for entry in folder().iterdir()}
    page = str(folder() / "page.html")
    for command in (["report", str(path)], ["report", "compare", str(whole), str(path)]):
        with refusals(InputUnreadable, UsageError):
            _run([*command, "-o", page, "--overwrite", "--progress", "none"])
    assert {entry.name for entry in folder().iterdir()} <= before | {"page.html"}


def _run(arguments: list[str]) -> None:
    """Run the command line; its errors are raised."""
    typer.main.get_command(app).main(args=arguments, prog_name="vidinv", standalone_mode=False)
