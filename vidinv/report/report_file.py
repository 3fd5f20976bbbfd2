"""Read a report that somebody hands over: bounded, in the form of its schema, and with figures that can be drawn."""

from __future__ import annotations

import json
from importlib import resources
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any

from vidinv import fileio
from vidinv.errors import InputUnreadable
from vidinv.report.schema_check import find_violation
from vidinv.report.sidecar import SCHEMA

MOST_TRACKS = 500  # a page draws a chart of each
LATEST = 1e8  # seconds, three years
LARGEST_FIGURE = 1e12
_REMEDY = "give the output of a vidinv run"


def read_report(path: Path) -> dict[str, Any]:
    """Read the report at `path`. Raises InputUnreadable where there is none or where it has another form."""
    try:
        known = fileio.read_json(path)
    except OSError as error:
        raise InputUnreadable(f"no report {path} ({error.strerror})", remedy=_REMEDY) from error
    except fileio.BadJson as error:
        raise InputUnreadable(f"{path} cannot be read: {error}", remedy=_REMEDY) from error
    if not isinstance(known, dict) or known.get("schema") != SCHEMA:
        raise InputUnreadable(f"{path} is not a {SCHEMA}", remedy="run it again with this version")
    if problem := find_problem(known):
        raise InputUnreadable(f"{path} is not a complete report: {problem}", remedy="run it again")
    return known


def find_problem(report: dict[str, Any]) -> str | None:
    """What keeps a page from being built of `report`, in words; None if nothing does."""
    schema = json.loads((resources.files("vidinv") / "assets" / "report.schema.json").read_text(encoding="utf-8"))
    return find_violation(report, schema, schema) or _output_problem(report) or _figures_problem(report)


def _output_problem(report: dict[str, Any]) -> str | None:
    name = report["output"]["path"]
    plain = name is None or (name not in ("", ".", "..") and PurePath(name).name == name and "\0" not in name)
    return None if plain else f"output.path is {name[:40]!r}"


def _figures_problem(report: dict[str, Any]) -> str | None:
    """The first problem of the tracks and times, which a schema cannot express."""
    tracks = report["identity"]["tracks"]
    if len(tracks) > MOST_TRACKS or len({track["id"] for track in tracks}) < len(tracks):
        return f"it has more than {MOST_TRACKS} tracks, or two with one number"
    for track in tracks:
        columns = track["per_frame"]
        if len({len(column) for column in columns.values()}) > 1:
            return f"the columns of track {track['id']} differ in length"
        if any(late <= early for early, late in pairwise(columns["frame"])):
            return f"the frames of track {track['id']} are not in order"
        if any(late < early for early, late in pairwise(columns["time_s"])):
            return f"the times of track {track['id']} are not in order"
        for name, column in columns.items():
            known = [abs(value) for value in column if isinstance(value, int | float)]
            if known and max(known) > LARGEST_FIGURE:
                return f"{name} of track {track['id']} holds {max(known):g}"
    return _time_problem(report)


def _time_problem(value: Any) -> str | None:
    """The first time, a number whose name ends in `_s`, that is beyond LATEST."""
    if isinstance(value, dict):
        for name, each in value.items():
            listed = each if isinstance(each, list) else [each]
            if name.endswith("_s") and any(isinstance(time, int | float) and abs(time) > LATEST for time in listed):
                return f"{name[:40]} is beyond {LATEST:g} seconds"
        return next((found for each in value.values() if (found := _time_problem(each))), None)
    if isinstance(value, list) and value and isinstance(value[0], dict | list):
        return next((found for each in value if (found := _time_problem(each))), None)
    return None
