"""Lists that others hand over are bounded: no aliases, no interpolation, no wide names, no long rows, no pipes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vidinv.batch import input_list, output_names
from vidinv.batch.input_list import InputRow
from vidinv.cli.main import main
from vidinv.editing import grammar
from vidinv.errors import UsageError

MOST_MEMORY = 1 << 30
SECRET = "a-secret-of-the-environment"
READ = """
import resource, sys
from pathlib import Path
from vidinv.batch import input_list, output_names
from vidinv.editing import grammar
from vidinv.errors import UsageError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
def names():
    for row in input_list.read_rows(sys.argv[1]):
        output_names.output_name(row, row.name or output_names.DEFAULT)
for read in (names, lambda: grammar.read_list(Path(sys.argv[1]))):
    try:
        read()
        print("read")
    except UsageError as error:
        print("refused:", error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def written(text: str) -> Callable[[Path], Any]:
    return lambda path: path.write_text(text)


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "aliases of aliases": ("list.yaml", written(LAUGHS)),
    "a list in itself": ("list.yaml", written("&a [*a]")),
    "deep lists": ("list.yaml", written("[" * 50_000)),
    "a long list": ("list.yaml", written("- a.mp4\n" * 100_000)),
    "a number of many digits": ("list.yaml", written("- " + "9" * 10_000)),
    "a set": ("list.yaml", written("!!set {a.mp4}")),
    "a binary value": ("list.yaml", written("- !!binary AAAA")),
    "a number": ("list.yaml", written("1:2:3")),
    "a wide name": ("list.csv", written("source,name\na.mp4,{row:09999999999d}\n")),
    "a precise name": ("list.csv", written("source,name\na.mp4,{row:.999999999f}\n")),
    "a nested width": ("list.csv", written("source,name\na.mp4,{row:{row}}\n")),
    "a long name": ("list.csv", written("source,name\na.mp4," + "{name}" * 10_000 + "\n")),
    "a long line": ("list.csv", written("source\n" + "," * 1_000_000)),
    "a long cell": ("list.csv", written('source\n"' + "a\n" * 200_000)),
    "a pipe": ("list.csv", os.mkfifo),
    "a pipe as YAML": ("list.yaml", os.mkfifo),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_list_is_refused_within_bounds(case: str, tmp_path: Path) -> None:
    name, make = HOSTILE[case]
    make(tmp_path / name)
    command = [sys.executable, "-c", READ, str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-300:]
    rows, edits, memory = done.stdout.strip().splitlines()
    assert rows.startswith("refused:") and edits.startswith("refused:") and int(memory) < MOST_MEMORY
    assert len(rows) < 2000
    print(f"{case}: {int(memory) / 1e6:.0f} MB; {rows}")


@pytest.mark.parametrize("case", ["aliases of aliases", "a wide name", "a pipe"])
def test_a_batch_of_a_hostile_list_ends_with_exit_code_2(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, make = HOSTILE[case]
    make(tmp_path / name)
    (tmp_path / "a.mp4").write_bytes(b"x")
    before = sorted(tmp_path.iterdir())
    command = ["batch", str(tmp_path / name), "-o", str(tmp_path / "out"), "--edit", "age+2", "--backend", "tiny"]
    assert main(command) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ") and said.err.count("\n") == 1 and not said.out
    assert sorted(tmp_path.iterdir()) == before


def test_variables_of_the_environment_stay_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDINV_SECRET", SECRET)
    path = tmp_path / "list.yaml"
    path.write_text("- ${oc.env:VIDINV_SECRET}\n")
    assert grammar.read_list(path) == ["${oc.env:VIDINV_SECRET}"]
    with pytest.raises(UsageError) as refused:
        grammar.parse(grammar.read_list(path)[0])
    assert SECRET not in str(refused.value)
    path.write_text("- {source: a.mp4, name: '${oc.env:VIDINV_SECRET}', quality: '${oc.env:VIDINV_SECRET}'}\n")
    assert SECRET not in repr(list(input_list.read_rows(str(path))))


def test_a_row_that_is_no_letter_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be formatted"):
        output_names.output_name(InputRow(0x110000, "talk.mp4"), "{row:c}.mp4")


def test_usual_formats_are_kept() -> None:
    row = InputRow(7, "talk.mp4")
    assert output_names.output_name(row, "{row:04d}{row:>3}{stem!s:_<6}{suffix}") == "0007  7talk__.mp4"
