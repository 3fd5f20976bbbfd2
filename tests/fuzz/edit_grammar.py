"""Fuzz the parser of edits and the reader of YAML lists of edits (`vidinv.editing.grammar`)."""

from __future__ import annotations

from random import Random

from tests.fuzz.harness import mutated, refusals, written
from vidinv.editing import grammar
from vidinv.errors import UsageError

EDITS = (
    "age+2",
    "age=60",
    "smile+1@0:03-0:07",
    "1:age-1.5@layers=4-9@region=mouth@ramp=0.5",
    "hair.black+3@-2:00:01.25",
)
SAMPLES = [
    *(edit.encode() for edit in EDITS),
    b"- smile+1@0:03-0:07\n- {edit: smile+1, from: 0:03, to: 0:07, track: 1}\n",
    b"- edit: age+2\n  layers: 4-9\n  ramp: 0.5\n- edit: age=60\n  region: mouth\n",
]
PARTS = (
    *("age", "smile", "a.b-c_d", "+", "-", "=", "1", "0.5", "1e9", "9" * 400, "0" * 30, "٣", "é", "\ud800", "\0", " "),
    *("@", "@@", ":", "0:", "12:", "0:03", "0:03-0:07", "-0:07", "layers=", "4-9", "9-4", "999-1000", "region=mouth"),
    *("region=", "ramp=", "ramp=0.5", "inf", "nan", "@layers=4-9", "\n", "\t"),
)
YAML = (
    *("- ", "{", "}", "[", "]", ": ", ", ", "edit: ", "from: ", "to: ", "track: ", "layers: ", "ramp: ", "region: "),
    *("&a ", "*a", "<<: ", "!!python/object:os.system ", "!!binary ", "!!set ", "${oc.env:HOME}", "${", "???", "|\n "),
    *("0o7", "0x", "1:2:3", "2020-01-01", "2020-99-99", "~", ".inf", "'", '"', "# ", "---\n", "...\n", "%YAML 9.9\n"),
    *("? ", "\n  ", "\n- ", "\n"),
)


def make(chance: Random) -> bytes:
    """An edit or a list of edits."""
    match chance.randrange(3):
        case 0:
            return mutated(SAMPLES, chance)
        case 1:
            return _joined(PARTS, chance)
    return _joined((*PARTS, *YAML), chance)


def one(data: bytes) -> None:
    """Parse `data` as an edit, as a time, and as a list of edits."""
    text = data.decode("utf-8", "surrogateescape")
    with refusals(UsageError):
        edit = grammar.parse(text)
        assert abs(edit.strength) <= grammar.LARGEST
    with refusals(UsageError):
        grammar.of_person(text)
    with refusals(UsageError):
        grammar.parse_time(text)
    with refusals(UsageError):
        for entry in grammar.read_list(written(data, "edits.yaml")):
            with refusals(UsageError):
                grammar.parse(entry)


def _joined(parts: tuple[str, ...], chance: Random) -> bytes:
    return "".join(chance.choice(parts) for _ in range(chance.randrange(1, 16))).encode("utf-8", "surrogatepass")
