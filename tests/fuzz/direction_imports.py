"""Fuzz the import of directions of other tools (`vidinv.editing.published`), numpy and torch files."""

from __future__ import annotations

from functools import cache
from random import Random

import numpy as np

from scripts.stress.mutations import EXTREMES
from tests.fuzz import pickle_programs, pickles
from tests.fuzz.harness import folder, mutated, refusals, written
from tests.helpers import direction_files
from vidinv.editing import directions, published, spaces
from vidinv.errors import InputUnreadable, UsageError, WeightsUnavailable

OWN = spaces.Space("mobile-stylegan-tiny-w", 8, 32, "mobile-stylegan-tiny")
TYPES = (
    "<f4",
    "<f8",
    ">f2",
    "|O",
    "<i8",
    "|V8",
    "<U9",
    "|b1",
    "<c8",
    "<M8[ns]",
    "f4,f4",
    "[('a', '<f4')]",
    "<f16",
    "|S0",
)


@cache
def samples() -> list[bytes]:
    """One file of each published format, of 32 numbers a row."""
    vector, here = np.random.default_rng(0).normal(size=32), folder() / "sample"
    numpy_file = here.with_suffix(".npy")
    made = [
        direction_files.fse(numpy_file, np.tile(vector, (8, 1))).read_bytes(),
        direction_files.stit(numpy_file, vector, 8, 2.0).read_bytes(),
        direction_files.interfacegan(numpy_file, vector).read_bytes(),
    ]
    made += [direction_files.e4e(here, vector).read_bytes()]
    made += [direction_files.ganspace(here, vector, 3.0, 2).read_bytes()]
    return [*made, direction_files.sefa(here, vector, 1).read_bytes()]


def make(chance: Random) -> bytes:
    """A damaged file, a numpy file with another header, or a torch file made operation by operation."""
    match chance.randrange(6):
        case 0 | 1:
            return mutated(samples(), chance)
        case 2:
            return pickles.repacked(chance, chance.choice(samples()[3:]))
        case 3 | 4:
            return _numpy(chance)
    return pickles.archive(chance, pickle_programs.program(chance))


def _numpy(chance: Random) -> bytes:
    """A numpy file with an odd type, shape, order or length of its header."""
    sizes = [chance.choice((1, 8, 32, 256, 0, -1, 1 << 62, *EXTREMES)) for _ in range(chance.randrange(4))]
    shape = f"({', '.join(map(str, sizes))}{',' if len(sizes) == 1 else ''})"
    kind = chance.choice(TYPES)
    described = kind if kind[0] == "[" else repr(kind)
    fields = [f"'descr': {described}", f"'fortran_order': {chance.choice(('False', 'True', '3'))}", f"'shape': {shape}"]
    if chance.random() < 0.1:
        fields.append(
            chance.choice(("'a': 1", "'b': " + "[" * 300, "**{}", "'c': 9**9**9", "fields[0]: ()", "'d': '\\x00'"))
        )
    head = (
        ("{" + ", ".join(chance.sample(fields, len(fields))) + "}").encode()
        + b" " * chance.choice((0, 9, 70_000))
        + b"\n"
    )
    length = chance.choice((len(head), len(head), len(head), 0, 1, 65_535)) & 0xFFFF
    version = chance.choice((b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\xff\xff"))
    size = length.to_bytes(2 if version == b"\1\0" else 4, "little")
    return published.NUMPY + version + size + head + chance.randbytes(chance.choice((0, 32, 128, 1024)))


def one(data: bytes) -> None:
    """Read `data`, find its format, and make a direction of it, by its own format and by every other."""
    path = written(data, "a.npy")
    with refusals(InputUnreadable, WeightsUnavailable, UsageError):
        file = published.read_arrays(path)
        with refusals(UsageError):
            published.format_of(file, None)
        for name, form in published.FORMATS.items():
            with refusals(UsageError):
                _imported(file, name, 1 if form.is_many else None)


def _imported(file: published.File, form: str, component: int | None) -> None:
    step = published.step(file, form, component)
    told = directions.Imported(form, "", 0.0, False, OWN.generator, "", file.digest)
    made = directions.of_step("a", spaces.step_in_space(step, OWN), OWN.name, None, told)
    assert made.vector.isfinite().all() and np.isfinite(made.deviation)
