"""Two people in one clip, by the tiny backend with a locator that finds both: who is edited, shown, kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.runs import TINY, face_rows, frames_of
from vidinv.backends import registry as backends
from vidinv.backends.interface import Locate, LocatedFaces
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main
from vidinv.faces.landmarks import EYE_LEFT, EYE_RIGHT, MOUTH_LEFT, MOUTH_RIGHT, NOSE_TIP
from vidinv.frames import Array
from vidinv.media import photo

SHOWN = ["--codec", "lossless", "--set", "mask.residual_good=1", "--set", "mask.residual_bad=2"]
LATE = 12  # the frame from which the second person is seen: 0.48 s


def both(source: str) -> Locate:
    """A large face on the left; on the right a smaller one, where the picture is bright in its corner."""
    shape = np.full((106, 2), 0.5)
    shape[list(EYE_LEFT)], shape[list(EYE_RIGHT)] = (0.4, 0.45), (0.6, 0.45)
    shape[NOSE_TIP], shape[MOUTH_LEFT], shape[MOUTH_RIGHT] = (0.5, 0.55), (0.42, 0.65), (0.58, 0.65)

    def locate(rgb: Array, rotation: int, boxes: Array | None) -> LocatedFaces:
        places = [(0, 0, 64), (72, 8, 48)]
        if rgb[:4, -4:].mean() < 128:
            places = places[:1]
        points = np.stack([np.array([x, y]) + shape * side for x, y, side in places]).astype(np.float32)
        found = np.array([(x + 0.3 * s, y + 0.3 * s, x + 0.7 * s, y + 0.7 * s) for x, y, s in places], np.float32)
        return LocatedFaces(found, np.ones(len(places), np.float32), points, np.eye(2, dtype=np.float32)[: len(places)])

    return locate


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(backends.BACKENDS, "tiny", replace(backends.BACKENDS["tiny"], locator=both))
    picture = np.random.default_rng(0).integers(60, 200, (64, 128, 3), np.uint8)

    def draw(index: int) -> Array:
        shown = picture.copy()
        shown[:6, -6:] = 250 if index >= LATE else 5
        return shown

    return make_clip(tmp_path / "in.mkv", durations_ms=[40] * 24, image=draw)


def run(clip: Path, output: Path, *arguments: str) -> dict[str, Any]:
    assert main(["run", str(clip), *arguments, "-o", str(output), *TINY, *SHOWN]) == 0
    report = json.loads(output.with_name(output.name + ".json").read_text())
    assert isinstance(report, dict)
    return report


def moved(clip: Path, output: Path) -> tuple[list[bool], list[bool]]:
    """Of every frame, whether the left and the right half changed."""
    halves: tuple[list[bool], list[bool]] = ([], [])
    for (_, before), (_, after) in zip(frames_of(clip), frames_of(output), strict=True):
        for half, part in zip(halves, (slice(0, 66), slice(66, 128)), strict=True):
            half.append(bool((before[0][:, part] != after[0][:, part]).any()))
    return halves


def test_each_is_edited_as_asked_and_nobody_else(clip: Path, tmp_path: Path) -> None:
    report = run(clip, tmp_path / "one.mkv", "--track", "1:age+3")
    left, right = moved(clip, tmp_path / "one.mkv")
    assert not any(left) and right == [frame >= LATE for frame in range(24)]
    assert [edit["track"] for edit in report["edits"]] == [1]
    report = run(clip, tmp_path / "both.mkv", "--edit", "smile+2", "--track", "1:age+3")
    left, right = moved(clip, tmp_path / "both.mkv")
    assert all(left) and right == [frame >= LATE for frame in range(24)]
    assert [(edit["name"], edit["track"]) for edit in report["edits"]] == [("smile", 0), ("age", 1)]


def test_the_preview_shows_who_is_edited(clip: Path, tmp_path: Path) -> None:
    run(clip, tmp_path / "out.mkv", "--track", "1:age+3", "--preview")
    luma = [planes[0].astype(float) for _, planes in frames_of(tmp_path / "out.mkv.preview.mp4")]
    source, edited, change = np.split(luma[-1][24:], 3, axis=1)  # below the labels
    assert np.abs(source - edited).mean() > 0.5 and change.mean() > 17


def test_a_value_of_somebody_who_is_not_there_then_is_left_out(clip: Path, tmp_path: Path) -> None:
    report = run(clip, tmp_path / "out.mkv", "--faces", "all", "--edit", "age=20@0-0.3")
    assert [(edit["track"], edit["target"]) for edit in report["edits"]] == [(0, 20.0)]


def test_codes_of_two_serve_an_edit_of_one(clip: Path, tmp_path: Path) -> None:
    codes = ["--codes", str(tmp_path / "c.safetensors")]
    run(clip, tmp_path / "two.mkv", "--edit", "age+1", "--track", "1:age+1", *codes)
    run(clip, tmp_path / "one.mkv", "--edit", "age+1", *codes)
    left, right = moved(clip, tmp_path / "one.mkv")
    assert all(left) and not any(right)


def test_people_who_were_found_and_not_edited_are_said(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "2 people found, 1 of them taken; --faces all takes everyone"
    assert said in run(clip, tmp_path / "one.mkv", "--edit", "age+1")["warnings"]
    assert f"warning: {said}" in capsys.readouterr().err
    for name, options in (("all", ["--faces", "all"]), ("second", ["--faces", "1"])):
        report = run(clip, tmp_path / f"{name}.mkv", "--edit", "age+1", *options)
        assert not any("people found" in warning for warning in report["warnings"])


def test_a_mix_chooses_of_the_first_picture_alone(clip: Path, tmp_path: Path) -> None:
    rgb = np.random.default_rng(1).integers(60, 200, (64, 128, 3), np.uint8)
    for name, corner in (("two", 250), ("one", 5)):
        rgb[:6, -6:] = corner
        photo.write_photo(tmp_path / f"{name}.png", photo.Photo(rgb.copy()), {})
    pictures = [str(tmp_path / f"{name}.png") for name in ("two", "one")]
    shown = ["-o", str(tmp_path / "mixed.png"), "--faces", "1", *TINY, *SHOWN[2:]]
    assert main(["mix", *pictures, *shown, "--region", "face"]) == 0
    changed = (photo.read_photo(tmp_path / "mixed.png").rgb != photo.read_photo(tmp_path / "two.png").rgb).any((0, 2))
    assert not changed[:66].any() and changed[66:].any()


def test_the_report_does_not_depend_on_where_codes_came_from(clip: Path, tmp_path: Path) -> None:
    edit, codes = ["--edit", "age+1@0.2-0.5"], ["--codes", str(tmp_path / "c.safetensors")]
    reports = [run(clip, tmp_path / f"{k}.mkv", *edit, *more) for k, more in enumerate(([], codes, codes))]
    rows = [[row["frame"] for row in face_rows(report["identity"]["tracks"][0])] for report in reports]
    assert rows[0] == rows[1] == rows[2] == [6, 7, 8, 9, 10, 11, 12]


@pytest.mark.slow
def test_a_generator_tuned_to_each_does_not_leak_to_the_other(clip: Path, tmp_path: Path) -> None:
    """The left person's picture is the same whether or not somebody else was tuned to; the right one's is changed."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("{steps: 6, look: 6, layers: 0, levels: 3, widest: 8, started: 0, rate: 1e-2, target: 0}\n")
    tune = ["--tune", "generator", "--set", f"generator_tuning.recipe={recipe}", "--set", "tuning.cache=false"]
    plain = ["--quality", "fast", "--set", "generator_tuning.faces=6", "--set", "crop=64"]
    run(clip, tmp_path / "alone.mkv", "--edit", "age+2", *plain, *tune)
    report = run(clip, tmp_path / "both.mkv", "--edit", "age+2", "--track", "1:age+2", *plain, *tune)
    run(clip, tmp_path / "as_it_is.mkv", "--edit", "age+2", "--track", "1:age+2", *plain)
    assert [each["track"] for each in report["tuning"]["people"]] == [0, 1] and report["output"]["tune"] == "generator"
    luma = {
        name: [planes[0].astype(int) for _, planes in frames_of(tmp_path / f"{name}.mkv")]
        for name in ("alone", "both", "as_it_is")
    }
    late = range(LATE, 24)
    assert any((luma["both"][k][:, 66:] != luma["as_it_is"][k][:, 66:]).any() for k in late)
    assert any((luma["alone"][k][:, :66] != luma["as_it_is"][k][:, :66]).any() for k in range(24))
    assert all((luma["alone"][k][:, 66:] == frame[0][:, 66:]).all() for k, (_, frame) in enumerate(frames_of(clip)))
