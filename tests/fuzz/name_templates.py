"""Fuzz the templates that name a batch's outputs (`vidinv.batch.output_names`)."""

from __future__ import annotations

from pathlib import PurePosixPath
from random import Random

from tests.fuzz.harness import mutated, refusals
from vidinv.batch import output_names
from vidinv.batch.input_list import InputRow
from vidinv.errors import UsageError

ROWS = (
    InputRow(7, "clips/talk.mp4", "clips", ("age+2", "smile-1@0:03-0:07")),
    InputRow(10**9, "", "", ()),
    InputRow(1, "a/\udcff\n\x1b[1m..mov", "../..", ("x" * 5000,)),
)
SAMPLES = [
    output_names.DEFAULT.encode(),
    b"{row:04d}{row:>3}{stem!s:_<6}{suffix}",
    b"{folder}/{parent}-{name}_{edits}.mkv",
]
FIELDS = (*output_names.FIELDS, "row.real", "row[0]", "stem.__class__", "0", "", "x", "row!r", "stem!a", "row!z")
SPECS = ("04d", ">3", "_<6", "99d", "099d", ".99f", "%", "c", "n", "x", "#b", ",", "_", "9999999999d", "{row}", "s", "")
PARTS = ("{", "}", "{{", "}}", "/", "//", "..", "../", ".", "a", "\0", "\n", "é", "\udcff", ":", "!", "~", "\\", " ")


def make(chance: Random) -> bytes:
    """A template: a damaged one, or fields, formats and other text in any order."""
    if chance.random() < 0.3:
        return mutated(SAMPLES, chance)
    return "".join(_part(chance) for _ in range(chance.randrange(1, 12))).encode("utf-8", "surrogateescape")


def _part(chance: Random) -> str:
    if chance.random() < 0.4:
        return chance.choice(PARTS)
    spec = ":" + chance.choice(SPECS) if chance.random() < 0.5 else ""
    return "{" + chance.choice(FIELDS) + spec + "}"


def one(data: bytes) -> None:
    """Name the outputs of ROWS by the template `data`; each name stays inside the batch's folder."""
    template = data.decode("utf-8", "surrogateescape")
    with refusals(UsageError):
        output_names.check_template(template)
    for row in ROWS:
        with refusals(UsageError):
            name = PurePosixPath(output_names.output_name(row, template))
            assert not name.is_absolute() and ".." not in name.parts and "\0" not in str(name)
