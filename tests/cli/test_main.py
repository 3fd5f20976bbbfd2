"""The command line as a whole: what cannot be read is one line and exit code 2."""

from __future__ import annotations

import pytest

from vidinv.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["run", "clip.mp4", "--nosuch"], "--nosuch"),
        (["run"], "IN"),
        (["run", "clip.mp4", "--crf", "x"], "--crf"),
        (["run", "clip.mp4", "--edit"], "--edit"),
        (["train", "feature-style", "--nosuch"], "--nosuch"),
        (["nosuch"], "nosuch"),
        ([], "no command given"),
        (["train"], "no command given"),
    ],
)
def test_what_cannot_be_read_is_named_in_one_line(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ") and named in line and "internal" not in line
