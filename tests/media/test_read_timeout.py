"""A decoder that gives nothing for too long ends the run; one that is slow does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from tests.helpers.runs import TINY, left_behind
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main
from vidinv.errors import InputUnreadable
from vidinv.frames import Colour, FrameBatch
from vidinv.media import read_timeout
from vidinv.media.readers import READERS
from vidinv.media.readers.base import Decoded


def batch(number: int) -> FrameBatch:
    return FrameBatch((None,), Colour("bt709", False), (number,), Fraction(1, 10), (number,))  # type: ignore[arg-type]


def test_frames_pass_in_order_and_none_is_read_before_it_is_wanted() -> None:
    made: list[int] = []

    def frames() -> Iterator[FrameBatch]:
        for number in range(5):
            made.append(number)
            yield batch(number)

    watched = read_timeout.with_timeout(frames(), Path("in.mp4"), 30)
    assert next(watched).index == (0,) and made == [0]
    assert [each.index[0] for each in watched] == [1, 2, 3, 4]


def test_an_error_of_the_reader_is_its_own() -> None:
    def frames() -> Iterator[FrameBatch]:
        yield batch(0)
        raise InputUnreadable("cut off")

    with pytest.raises(InputUnreadable, match="cut off"):
        list(read_timeout.with_timeout(frames(), Path("in.mp4"), 30))


def test_a_reader_that_is_left_early_is_closed() -> None:
    closed = threading.Event()

    def frames() -> Iterator[FrameBatch]:
        try:
            while True:
                yield batch(0)
        finally:
            closed.set()

    watched = read_timeout.with_timeout(frames(), Path("in.mp4"), 30)
    next(watched)
    watched.close()  # type: ignore[attr-defined]
    assert closed.is_set()


@pytest.mark.parametrize("phase", ["analyse", "render"])
def test_a_run_whose_decoder_stalls_names_the_frame_and_goes_on_when_it_is_repeated(
    tmp_path: Path, phase: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, output, never = make_clip(tmp_path / "in.mp4", frames=12), tmp_path / "out.mp4", threading.Event()
    opened = 0

    def stuck(path: Path, first: int, stream: int | None = None) -> Iterator[Decoded]:
        nonlocal opened
        opened += 1
        for frame in READERS["plain"](path, first, stream):
            if frame.index == 7 and (phase == "analyse" or opened > 1):
                never.wait()
            yield frame

    monkeypatch.setitem(READERS, "plain", READERS["pyav"])
    monkeypatch.setitem(READERS, "pyav", stuck)
    command = ["run", str(clip), "--edit", "age+2", "-o", str(output), *TINY, "--set", "batch=1"]
    assert main([*command, "--set", "stall_seconds=1.5"]) == 3
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "no frame 7" in said and "0.240 s" in said
    assert left_behind(tmp_path, but={"in.mp4"}) == {"out.mp4.vidinv"}
    monkeypatch.setitem(READERS, "pyav", READERS["plain"])
    assert main([*command, "--set", "stall_seconds=60"]) == 0  # which is no other job
    never.set()
