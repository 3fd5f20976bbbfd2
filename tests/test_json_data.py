"""JSON and arrays that somebody hands over: bounded before they are read, plain numbers, one value for each key."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from vidinv import fileio

DEEP = 200_000


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"nothing",
        b'{"a": 1',
        b"\xff\xfe{}",
        b"[NaN]",
        b"[-Infinity]",
        b"[1e999]",
        b"[" + b"9" * 30 + b"]",
        b"[" + b"9" * 5000 + b"]",
        b'{"a": 1, "a": 2}',
        b'[{"a": {"b": 1, "b": 1}}]',
        b"[" * DEEP,
        b'{"a":' * DEEP,
        b"[" * 40 + b"]" * 40,
        b'{"a":' * 100 + b"1" + b"}" * 100,
    ],
    ids=lambda text: str(text[:12]),
)
def test_what_is_not_plain_json_is_refused_in_one_line(text: bytes) -> None:
    with pytest.raises(fileio.BadJson) as refused:
        fileio.parse_json(text)
    assert len(str(refused.value)) < 100 and "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True, "é"]}, [], 3, "", {"b": {"c": [[]]}}, "lat\udce9.mp4"])
def test_a_written_value_is_read_back_and_its_text_is_utf8(value: object) -> None:
    text = fileio.json_text(value)
    assert fileio.parse_json(text) == fileio.parse_json(text.encode()) == json.loads(text) == value


def test_a_file_over_its_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)  # sparse
    with pytest.raises(OSError, match="larger than"):
        fileio.read_json(path)


@pytest.mark.parametrize("unit", [b"{},", b'{"":0},', b"[],", b'"",', b"0,"])
def test_small_values_that_would_fill_the_memory_are_refused_before_they_are_made(unit: bytes) -> None:
    program = (
        "import pathlib, re, sys; from vidinv import fileio\n"
        f"text = b'[' + {unit!r} * ((1 << 26) // {len(unit)}) + b'0]'\n"
        "try: fileio.parse_json(text)\nexcept fileio.BadJson: pass\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"  # its own peak: getrusage has the parent's as well
        "sys.exit(int(re.search(r'VmHWM:\\s+(\\d+) kB', status)[1]) > 1 << 20)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@dataclass(frozen=True)
class Inner:
    """Part of a record."""

    number: float


@dataclass(frozen=True)
class Outer:
    """A record with a field of each type that our files hold."""

    name: str
    pair: tuple[int, int]
    inner: Inner
    other: Inner | None = None
    names: tuple[str, ...] = ()
    table: dict[str, float] | None = None
    is_set: bool = False


WHOLE = {"name": "a", "pair": [1, 2], "inner": {"number": 1}, "names": ["b"], "table": {"c": 1.5}}


def test_a_record_is_made_of_values_of_its_types() -> None:
    assert fileio.record_of(Outer, WHOLE) == Outer("a", (1, 2), Inner(1), None, ("b",), {"c": 1.5})


@pytest.mark.parametrize(
    "change",
    [
        {"name": None},
        {"name": ["a"]},
        {"pair": [1]},
        {"pair": [1, 2, 3]},
        {"pair": [1, 2.5]},
        {"pair": [1, True]},
        {"inner": {}},
        {"inner": {"number": "1"}},
        {"inner": {"number": 1, "more": 2}},
        {"other": 3},
        {"names": "b"},
        {"table": {"c": None}},
        {"is_set": 1},
        {"more": 1},
    ],
    ids=str,
)
def test_a_record_of_other_types_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(fileio.BadJson):
        fileio.record_of(Outer, WHOLE | change)


@pytest.mark.parametrize("values", [None, [], "a", {}])
def test_a_record_is_an_object_with_every_field(values: object) -> None:
    with pytest.raises(fileio.BadJson):
        fileio.record_of(Outer, values)


def npz(**members: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return made.getvalue()


def npy(array: np.ndarray) -> bytes:
    made = io.BytesIO()
    np.save(made, array)
    return made.getvalue()


def test_arrays_are_read_as_they_were_written(tmp_path: Path) -> None:
    held = {"a": np.arange(6).reshape(2, 3), "b": np.array(["x", "yz"]), "c": np.zeros(0, np.float16)}
    np.savez(tmp_path / "held.npz", **held)
    for source in (tmp_path / "held.npz", (tmp_path / "held.npz").read_bytes()):
        found = fileio.load_arrays(source)
        assert found.keys() == held.keys()
        assert all(np.array_equal(found[name], held[name]) and found[name].dtype == held[name].dtype for name in held)


HEADER = npy(np.zeros(4))
FORGED = {
    "nothing": b"",
    "no archive": b"PK\x03\x04" + bytes(90),
    "no array": npz(a=b"text"),
    "objects": npz(a=npy(np.array([None, "x"], dtype=object))),
    "short": npz(a=HEADER[:-8]),
    "long": npz(a=HEADER + bytes(8)),
    "huge": npz(a=HEADER.replace(b"(4,)", b"(1 << 40,)"[:4]).replace(b"(4,)", b"(9e9,)")),
    "huge shape": npz(a=HEADER.replace(b"(4,), } ", b"(99999,)}")),
    "negative": npz(a=HEADER.replace(b"(4,), }  ", b"(-4,), } ")),
    "bomb": npz(a=bytes(1 << 29)),
}


@pytest.mark.parametrize("content", FORGED.values(), ids=FORGED)
def test_what_is_no_file_of_plain_arrays_is_refused(content: bytes) -> None:
    with pytest.raises(fileio.BadArrays):
        fileio.load_arrays(content)
