"""`--still T`: one labelled picture of what the edits do at that time, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.runs import SHOWN, TINY, left_behind
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main
from vidinv.editing import grammar
from vidinv.jobs import still
from vidinv.media import photo


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Twelve frames at 25 a second, the k-th of the level 60 + 10 k."""
    return make_clip(
        tmp_path / "in.mkv",
        frames=12,
        codec="ffv1",
        pix_fmt="bgr0",
        image=lambda index: np.full((64, 96, 3), 60 + 10 * index, np.uint8),
    )


def run(clip: Path, *arguments: str) -> int:
    return main(["run", str(clip), *arguments, *TINY, *SHOWN])


def test_a_still_shows_the_frame_of_its_time_and_what_the_edit_does(clip: Path, tmp_path: Path) -> None:
    assert run(clip, "--edit", "age+3", "--still", "0:00.2") == 0
    drawn = photo.read_photo(tmp_path / "in.still.png").rgb.astype(int)
    source, made, change = np.split(drawn[24:], 3, axis=1)
    assert np.abs(source[32:96, 32:96] - 110).max() <= 1  # the sixth frame
    assert np.abs(made - source).max() > 2 and change.max() > 8
    assert not left_behind(tmp_path, but={"in.mkv", "in.still.png"})


@pytest.mark.parametrize("rotation", [0, 90, 180])
def test_the_frame_is_upright(tmp_path: Path, rotation: int) -> None:
    ramp = np.tile(np.linspace(20, 230, 96).astype(np.uint8)[None, :, None], (64, 1, 3))
    turned = make_clip(tmp_path / "turned.mp4", frames=3, rotation=rotation, image=lambda index: ramp)
    frame = still.frame_at(turned, 0.0)
    assert frame.shape[:2] == ((96, 64) if rotation == 90 else (64, 96))
    columns = frame[..., 0].astype(int).mean(0)
    if rotation != 90:
        assert (columns[-8] > columns[8]) == (rotation == 0)


def test_a_time_after_the_end_is_refused(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(clip, "--edit", "age+3", "--still", "0:30") == 2
    assert "after the end" in capsys.readouterr().err


def test_edits_count_as_they_are_at_that_time(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(clip, "--edit", "age+3@0.3-0.4", "--still", "0.1") == 2
    assert "no edit is present at 0.1 s" in capsys.readouterr().err
    assert run(clip, "--edit", "age+3@0.3-0.4", "--still", "0.35") == 0


@pytest.mark.parametrize("text", ["age+2", "1:smile-0.5@layers=4-9", "age=60@region=mouth", "smile+1"])
def test_an_edit_is_written_as_it_was_read(text: str) -> None:
    assert grammar.parse(grammar.write(grammar.parse(text))) == grammar.parse(text)


def test_an_existing_picture_is_not_replaced(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "in.still.png"
    mine.write_text("mine")
    assert run(clip, "--edit", "age+3", "--still", "0") == 7
    assert mine.read_text() == "mine"
    assert run(clip, "--edit", "age+3", "--still", "0", "--overwrite") == 0
    assert mine.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("option", ["--preview", "--report", "--c2pa", "--watermark", "--keep-job"])
def test_options_of_whole_clips_exclude_a_still(clip: Path, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(clip, "--edit", "age+3", "--still", "0", option) == 2
    assert f"--still and {option} exclude each other" in capsys.readouterr().err
