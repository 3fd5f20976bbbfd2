"""What reaches the terminal: control characters in names are escaped, and closed streams end no command in noise."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from vidinv import terminal
from vidinv.cli.main import main
from vidinv.progress import ProgressBar, SilentProgress

ESCAPING = "a\x1b]0;title\x07\x9b31m\u202egpj.png"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")
COMMAND = f"{sys.executable} -m vidinv"


@pytest.mark.parametrize("command", [["edit"], ["inspect"], ["run", "--edit", "age+2"], ["--debug", "inspect"]])
def test_a_name_with_escape_sequences_is_escaped_in_errors(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, str(tmp_path / ESCAPING)]) in (2, 3)
    said = capsys.readouterr()
    assert not CONTROL.search(said.err + said.out)


def test_a_name_with_escape_sequences_is_escaped_in_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64)).save(tmp_path / ESCAPING, format="PNG")
    assert main(["inspect", str(tmp_path / ESCAPING)]) == 0
    said = capsys.readouterr()
    assert not CONTROL.search(said.err + said.out) and r"\x1b]0;title" in said.out.replace("\n", "")


def test_progress_and_lines_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    SilentProgress().fail(ESCAPING)
    bar = ProgressBar()
    bar.say(ESCAPING)
    bar.close()
    terminal.print_line(ESCAPING)
    said = capsys.readouterr()
    assert said.err.count(r"\x1b]0;title\x07\x9b31m\u202egpj.png") == 2 and r"\x1b" in said.out
    assert not CONTROL.search(said.out)


def test_bytes_that_are_not_utf_8_are_written_out() -> None:
    assert terminal.escape_controls("lat\udce9.mp4\ta\nb é") == "lat\\xe9.mp4\ta\nb é"


def test_warnings_of_a_command_are_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from vidinv.provenance import inspection

    def warn(*_: object) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            sys.stderr.write(warnings.formatwarning(UserWarning(ESCAPING), UserWarning, "x.py", 1, ""))
        raise MemoryError

    monkeypatch.setattr(inspection, "inspect", warn)
    (tmp_path / "a.png").write_bytes(b"x")
    before = warnings.formatwarning
    assert main(["inspect", str(tmp_path / "a.png")]) == 1
    said = capsys.readouterr().err
    assert r"\x1b]0;title" in said and not CONTROL.search(said) and warnings.formatwarning is before


@pytest.mark.parametrize("command", ["directions list", "weights list", "backend list", "--help"])
def test_a_reader_that_stops_reading_is_no_error(command: str) -> None:
    shell = f"{COMMAND} {command} | true; echo code ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60)
    assert done.stderr == "" and done.stdout in ("code 0\n", "code 141\n")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("directions list >&-", 0),
        ("directions list >&- 2>&-", 0),
        ("directions list <&- >&- 2>&-", 0),
        ("weights list >&-", 0),
        ("inspect nosuch.png 2>&-", 3),
        ("inspect nosuch.png >&- 2>&-", 3),
        ("inspect nosuch.png 2> >(true)", 3),
    ],
)
def test_closed_streams_change_no_exit_code(command: str, code: int, tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{COMMAND} {command}"], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")
    assert not list(tmp_path.iterdir())
