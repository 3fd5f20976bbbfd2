"""`vidinv mix` and `vidinv interpolate` with the tiny backend."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.runs import TINY, face_rows, frames_of, left_behind
from vidinv.cli.main import main
from vidinv.jobs.job_folder import JobFolder
from vidinv.media import photo, probe

SHOWN = ["--set", "mask.residual_good=1", "--set", "mask.residual_bad=2"]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two pictures of the same size and different colours."""
    for name, low in (("a.png", 20), ("b.png", 140)):
        picture = np.random.default_rng(low).integers(low, low + 100, (64, 96, 3), np.uint8)
        Image.fromarray(picture).save(tmp_path / name)
    return tmp_path / "a.png", tmp_path / "b.png"


def test_a_mix_changes_the_face_of_the_first_alone(pair: tuple[Path, Path], tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    assert main(["mix", *map(str, pair), "-o", str(output), "--region", "face", "--preview", *TINY, *SHOWN]) == 0
    before, after = photo.read_photo(pair[0]).rgb, photo.read_photo(output).rgb
    report = json.loads((tmp_path / "out.png.json").read_text())
    x0, y0, x1, y1 = face_rows(report["identity"]["tracks"][0])[0]["rect"]
    inside = np.zeros(before.shape, bool)
    inside[y0:y1, x0:x1] = True
    assert np.array_equal(before[~inside], after[~inside]) and (before[inside] != after[inside]).any()
    (edit,) = report["edits"]
    assert edit["name"] == "mix" and edit["from"] == "b.png" and edit["layers"][1] == 8
    assert "b.png" in Image.open(output).info["vidinv_edits"]
    kept = {"a.png", "b.png", "out.png", "out.png.json", "out.png.preview.png"}
    assert not left_behind(tmp_path, but=kept)


def test_a_film_begins_with_one_and_ends_with_the_other(pair: tuple[Path, Path], tmp_path: Path) -> None:
    film, single = tmp_path / "film.mp4", tmp_path / "single.mp4"
    assert main(["interpolate", *map(str, pair), "-o", str(film), "--seconds", "0.4", *TINY]) == 0
    assert main(["interpolate", str(pair[0]), str(pair[0]), "-o", str(single), "--seconds", "0.1", *TINY]) == 0
    info = probe.probe(film)
    assert (info.width, info.height, info.frame_count) == (64, 64, 10)
    luma = [planes[0].astype(float) for _, planes in frames_of(film)]
    first = frames_of(single)[0][1][0]
    moved = [np.abs(each - luma[0]).mean() for each in luma]
    assert moved[2] < moved[5] < moved[9]
    assert np.abs(luma[0] - first).mean() < 0.5 * moved[9]  # the first face as it is inverted, but for the codec
    assert not left_behind(tmp_path, but={"a.png", "b.png", "film.mp4", "single.mp4"})


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["mix", "a.png", "b.png", "-o", "c.png", "--layers", "4-8"], 2, "FIRST-LAST of 0-7"),
        (["mix", "a.png", "b.png", "-o", "c.png", "--layers", "x"], 2, "FIRST-LAST"),
        (["mix", "a.png", "b.png", "-o", "c.png", "--region", "toes"], 2, "choose one of face"),
        (["mix", "a.png", "none.png", "-o", "c.png"], 3, "none.png"),
        (["mix", "a.png", "b.png", "-o", "b.png", "--overwrite"], 2, "input itself"),
        (["interpolate", "a.png", "b.png", "-o", "c.png"], 2, "is not the name of a video"),
        (["interpolate", "a.png", "none.png", "-o", "c.mp4"], 3, "none.png"),
    ],
)
def test_what_cannot_be_mixed_is_one_line_and_leaves_nothing(
    pair: tuple[Path, Path],
    arguments: list[str],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(pair[0].parent)
    assert main([*arguments, *TINY, "--progress", "none"]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and said in error
    assert not left_behind(pair[0].parent, but={"a.png", "b.png"})


def test_a_film_does_not_take_the_place_of_an_unfinished_job(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with JobFolder(tmp_path / "film.mp4") as job:
        job.claim("another", "threads: 1\n")
    segment = job.path / "segment-00000.segment"
    segment.write_bytes(b"hours of work")
    assert main(["interpolate", *map(str, pair), "-o", str(tmp_path / "film.mp4"), *TINY]) == 2
    assert segment.read_bytes() == b"hours of work"
