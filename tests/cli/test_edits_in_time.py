"""Edits with a time and a person, in whole runs by the tiny backend: what they leave alone, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.runs import TINY, frames_of, left_behind
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main

SHOWN = ["--set", "mask.residual_good=1", "--set", "mask.residual_bad=2"]  # however poor the inversion is
LOSSLESS = ["--codec", "lossless", *SHOWN]


def run(*arguments: object) -> int:
    return main(["run", *map(str, arguments)])


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mkv", durations_ms=[40] * 24)


def changed(source: Path, output: Path) -> list[bool]:
    """Of every frame, whether any sample differs."""
    pairs = zip(frames_of(source), frames_of(output), strict=True)
    return [any((a != b).any() for a, b in zip(before, after, strict=True)) for (_, before), (_, after) in pairs]


def test_frames_outside_an_edits_time_are_the_sources_own(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    assert run(clip, "--edit", "age+2@0.25-0.5@ramp=0", "-o", output, *TINY, *LOSSLESS) == 0
    assert changed(clip, output) == [7 <= frame <= 12 for frame in range(24)]  # 0.28 to 0.48 s
    report = json.loads((tmp_path / "out.mkv.json").read_text())
    assert report["faces"] == 6 and report["frames"] == 24
    (edit,) = report["edits"]
    assert (edit["from_s"], edit["to_s"], edit["track"]) == (0.25, 0.5, 0)


def test_an_edit_fades_in(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    assert run(clip, "--edit", "age+2@0.25-@ramp=0.5", "-o", output, *TINY, *LOSSLESS) == 0
    pairs = zip(frames_of(clip), frames_of(output), strict=True)
    moved = [float(np.abs(a[0].astype(float) - b[0]).mean()) for (_, a), (_, b) in pairs]
    assert moved[6] == 0 and moved[8] < moved[11] < moved[14] and max(moved[19:]) > moved[11]


def test_an_edit_of_the_only_person_is_an_edit(clip: Path, tmp_path: Path) -> None:
    given, named = tmp_path / "given.mkv", tmp_path / "named.mkv"
    assert run(clip, "--edit", "age+2", "-o", given, *TINY, *LOSSLESS) == 0
    assert run(clip, "--track", "0:age+2", "-o", named, *TINY, *LOSSLESS) == 0
    assert not any(changed(given, named))


def test_a_list_of_edits_is_that_many_edits(clip: Path, tmp_path: Path) -> None:
    edits, one, two = tmp_path / "edits.yaml", tmp_path / "one.mkv", tmp_path / "two.mkv"
    edits.write_text("- smile-1\n- {edit: age+2, from: 0.25, to: 0.5, layers: 0-3}\n")
    assert run(clip, "--edits", edits, "-o", one, *TINY, *LOSSLESS) == 0
    written = ["--edit", "age+2@0.25-0.5@layers=0-3", "--edit", "smile-1"]
    assert run(clip, *written, "-o", two, *TINY, *LOSSLESS) == 0
    assert not any(changed(one, two))


@pytest.mark.parametrize(
    ("wanted", "code", "said"),
    [
        (["--edit", "age+2@0:05-0:07"], 2, "after the end of the clip"),
        (["--edit", "age+2@layers=3-8"], 2, "w+ has 8 rows"),
        (["--edit", "age+2@layrs=3-8"], 2, "character 7, 'layrs=3-8'"),
        (["--track", "age+2"], 2, "names no person"),
        (["--track", "3:age+2"], 4, "no person 3"),
        (["--edits", "none.yaml"], 2, "none.yaml"),
    ],
)
def test_what_cannot_be_edited_is_one_line(
    clip: Path, wanted: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(clip, *wanted, *TINY, "--progress", "none") == code
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and said in error
    assert not left_behind(clip.parent, but={"in.mkv"})


def test_a_preview_without_an_edit_shows_source_and_inversion(clip: Path, tmp_path: Path) -> None:
    assert run(clip, "--preview", "-o", tmp_path / "out.mkv", *TINY, *LOSSLESS) == 0
    panels = frames_of(tmp_path / "out.mkv.preview.mp4")[5][1][0].astype(float)
    source, inversion, error = np.split(panels[24:], 3, axis=1)  # below the labels
    assert source.std() > 5 and inversion.std() > 2 and np.abs(source - inversion).mean() > 5
    assert error.mean() > 20  # a random generator does not draw the source
    assert not any(changed(clip, tmp_path / "out.mkv"))


def test_codes_that_are_kept_are_of_the_whole_clip(clip: Path, tmp_path: Path) -> None:
    codes, first, second = tmp_path / "c.safetensors", tmp_path / "first.mkv", tmp_path / "second.mkv"
    edit = ["--edit", "age+2@0.25-0.5", "--codes", codes]
    assert run(clip, *edit, "-o", first, *TINY, *LOSSLESS) == 0
    assert run(clip, *edit, "-o", second, *TINY, *LOSSLESS) == 0
    assert not any(changed(first, second))
    assert run(clip, "--edit", "age+2", "--codes", codes, "-o", tmp_path / "all.mkv", *TINY, *LOSSLESS) == 0
    assert all(changed(clip, tmp_path / "all.mkv"))
