"""Parse edits such as `age+2`, `age=60`, `smile+1@0:03-0:07`, `age+2@layers=4-9`, `1:age-1.5`.

    [PERSON:]NAME(+|-)STRENGTH[@QUALIFIER]...      PERSON counts from 0, the largest first, as --faces does
    [PERSON:]NAME=VALUE[@QUALIFIER]...             VALUE in the unit of the direction's calibration (years)

    QUALIFIER   FROM-TO | FROM- | -TO              times as M:SS or seconds, from the clip's first frame
                ramp=SECONDS                       duration of fading in and out inside FROM-TO
                layers=FIRST-LAST                  rows of w+, both included, instead of the direction's own
                region=NAME                        mouth, eyes, ...: restricts the change to that part of the face

A YAML list holds one edit per line, or its parts by name: `{edit: smile+1, from: 0:03, to: 0:07, track: 1}`.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, NoReturn

from vidinv.config_loading import read_plain_yaml
from vidinv.errors import UsageError
from vidinv.faces.regions import REGIONS
from vidinv.frames import Edit

PERSON = re.compile(r"(\d{1,4}):")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*?(?=(?:[+-]|=-?)\d+(?:\.\d+)?(?:@|$))", re.ASCII)
LETTERS = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*", re.ASCII)
VALUE = re.compile(r"(=)?([+-])?(\d+(?:\.\d+)?)", re.ASCII)
CLOCK = r"(?:\d+:){0,2}\d+(?:\.\d+)?"
SPAN = re.compile(rf"({CLOCK})?-({CLOCK})?", re.ASCII)
LAYERS = re.compile(r"layers=(\d{1,3})-(\d{1,3})", re.ASCII)
REGION = re.compile(r"region=([a-z]+)", re.ASCII)
RAMP = re.compile(r"ramp=(\d+(?:\.\d+)?)", re.ASCII)
KEYS = ("edit", "track", "from", "to", "ramp", "layers", "region")  # of a list entry
LARGEST = 1e6  # upper limit of strengths, values and seconds


def parse(text: str) -> Edit:
    """Parse one edit. Raises UsageError, which points at the invalid character."""
    line = text.strip()
    person = PERSON.match(line)
    at = person.end() if person else 0
    name = NAME.match(line, at)
    if name is None:
        letters = LETTERS.match(line, at)
        _refuse(line, letters.end() if letters else at, "write NAME+STRENGTH, NAME-STRENGTH or NAME=VALUE, as in age+2")
    value = VALUE.match(line, name.end())
    assert value is not None  # NAME looks ahead for it
    number = _number(value[3], line, value.start(3)) * (-1 if value[2] == "-" else 1) + 0.0
    edit = Edit(
        name[0],
        strength=0.0 if value[1] else number,
        target=number if value[1] else None,
        track=int(person[1]) if person else None,
    )
    return _qualified(edit, line, value.end())


def of_person(text: str) -> str:
    """Return an edit that names its person (`1:age+2`). Raises UsageError if it names none."""
    if parse(text).track is None:
        raise UsageError(
            f"--track {text!r} names no person", remedy="write N:EDIT, as in 1:age+2; 0 is the largest face"
        )
    return text


def read_list(path: Path) -> list[str]:
    """Read a YAML list of edits and return each in command-line syntax; raises as `read_plain_yaml` does."""
    entries = read_plain_yaml(path, "the list of edits")
    if not isinstance(entries, list):
        raise UsageError(f"{path} is not a list of edits", remedy="write one edit per line: - smile+1@0:03-0:07")
    return [_written(entry, f"entry {number} of {path}") for number, entry in enumerate(entries, 1)]


def write(edit: Edit) -> str:
    """Return the text of an edit without its times; `parse` gives the rest of it back."""
    text = "" if edit.track is None else f"{edit.track}:"
    text += edit.name + (f"{edit.strength:+.6f}" if edit.target is None else f"={edit.target:.6f}")
    if edit.layers is not None:
        text += f"@layers={edit.layers[0]}-{edit.layers[1] - 1}"
    return text + (f"@region={edit.region}" if edit.region else "")


def parse_time(text: str) -> float:
    """Parse `12`, `0:12` or `1:02:03.5` to seconds. Raises UsageError."""
    if not re.fullmatch(CLOCK, text, re.ASCII):
        raise UsageError(f"cannot read the time {text!r}", remedy="write seconds or M:SS, as in 0:12")
    seconds = 0.0
    for part in text.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def _qualified(edit: Edit, line: str, at: int) -> Edit:
    """Return `edit` with the qualifiers in `line` from position `at` on."""
    found: dict[str, Any] = {}
    while at < len(line):
        begin = at + 1  # behind the @
        end = line.find("@", begin) if "@" in line[begin:] else len(line)
        key, value = _qualifier(line, begin, end)
        if key in found:
            _refuse(line, begin, f"give {key} once")
        found[key] = value
        at = end
    return Edit(**{**edit.__dict__, **found})


def _qualifier(line: str, begin: int, end: int) -> tuple[str, Any]:
    """Parse line[begin:end] to a field of Edit and its value."""
    if layers := LAYERS.fullmatch(line, begin, end):
        first, last = int(layers[1]), int(layers[2])
        if first > last:
            _refuse(line, layers.start(1), "the first row comes first, as in layers=4-9")
        return "layers", (first, last + 1)
    if region := REGION.fullmatch(line, begin, end):
        if region[1] not in REGIONS:
            _refuse(line, region.start(1), f"the regions are {', '.join(REGIONS)}")
        return "region", region[1]
    if ramp := RAMP.fullmatch(line, begin, end):
        return "ramp", _number(ramp[1], line, ramp.start(1))
    span = SPAN.fullmatch(line, begin, end)
    if span is None or not (span[1] or span[2]):
        _refuse(line, begin, "write a time as @0:03-0:07, @layers=4-9, @region=mouth or @ramp=0.5")
    first_second = _number(str(parse_time(span[1])), line, span.start(1)) if span[1] else 0.0
    last_second = _number(str(parse_time(span[2])), line, span.start(2)) if span[2] else math.inf
    if first_second >= last_second:
        _refuse(line, begin, "the earlier time comes first, as in 0:03-0:07")
    return "span", (first_second, last_second)


def _number(text: str, line: str, at: int) -> float:
    number = float(text)
    if number > LARGEST:
        _refuse(line, at, "the number is too large")
    return number


def _refuse(line: str, at: int, remedy: str) -> NoReturn:
    rest = line[at : at + 12]
    where = f"at character {at + 1}, {rest!r}" if rest else "at its end"
    raise UsageError(f"cannot read the edit {line!r} {where}", remedy=remedy)


def _written(entry: Any, where: str) -> str:
    if isinstance(entry, str):
        return entry
    if not isinstance(entry, dict) or not isinstance(entry.get("edit"), str):
        remedy = "write - smile+1@0:03-0:07, or - {edit: smile+1, from: 0:03, to: 0:07}"
        raise UsageError(f"{where} is not an edit", remedy=remedy)
    if unknown := [str(key) for key in entry if key not in KEYS]:
        raise UsageError(f"{where} has unknown keys {', '.join(unknown)}", remedy=f"known keys: {', '.join(KEYS)}")
    text = f"{entry['track']}:" if "track" in entry else ""
    text += entry["edit"]
    if "from" in entry or "to" in entry:
        text += f"@{entry.get('from', '')}-{entry.get('to', '')}"
    for key in ("ramp", "layers", "region"):
        text += f"@{key}={entry[key]}" if key in entry else ""
    return text
