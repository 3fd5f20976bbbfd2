"""`vidinv edit` with the tiny backend: what it changes, what it leaves, what it says, what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.helpers.runs import TINY, face_rows, left_behind
from vidinv.backends import registry as backends
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main
from vidinv.jobs.job_folder import JobFolder
from vidinv.media import photo

SHOWN = ["--set", "mask.residual_good=1", "--set", "mask.residual_bad=2"]


def edit(*arguments: object) -> int:
    return main(["edit", *map(str, arguments)])


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    picture = np.random.default_rng(0).integers(60, 200, (65, 97, 3), np.uint8)  # odd sides
    Image.fromarray(picture).save(tmp_path / "in.png")
    return tmp_path / "in.png"


def test_the_face_changes_and_no_pixel_outside_the_masks_rectangle(portrait: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    assert edit(portrait, "--edit", "age+3", "-o", output, "--preview", *TINY, *SHOWN) == 0
    before, after = photo.read_photo(portrait).rgb, photo.read_photo(output).rgb
    report = json.loads((tmp_path / "out.png.json").read_text())
    x0, y0, x1, y1 = face_rows(report["identity"]["tracks"][0])[0]["rect"]
    inside = np.zeros(before.shape, bool)
    inside[y0:y1, x0:x1] = True
    assert 0 < x0 < x1 < 97 and 0 < y0 < y1 < 65
    assert np.array_equal(before[~inside], after[~inside]) and (before[inside] != after[inside]).any()
    assert report["frames"] == report["faces"] == 1 and report["edits"][0]["strength"] == 3
    assert Image.open(output).info["vidinv_edits"] == "age+3"
    assert photo.read_photo(tmp_path / "out.png.preview.png").rgb.shape == (24 + 128, 3 * 128, 3)
    assert not left_behind(tmp_path, but={"in.png", "out.png", "out.png.json", "out.png.preview.png"})


def test_strength_0_is_the_picture_itself(portrait: Path, tmp_path: Path) -> None:
    assert edit(portrait, "--edit", "age+0", "-o", tmp_path / "out.png", *TINY, *SHOWN) == 0
    assert np.array_equal(photo.read_photo(tmp_path / "out.png").rgb, photo.read_photo(portrait).rgb)


def test_a_value_is_sought(portrait: Path, tmp_path: Path) -> None:
    assert edit(portrait, "--edit", "age=900", "-o", tmp_path / "out.png", *TINY, *SHOWN) == 0
    report = json.loads((tmp_path / "out.png.json").read_text())
    (found,) = report["edits"]
    assert found["strength"] == 3 and found["target"] == 900 and found["reached"] is not None
    assert "out of reach" in report["warnings"][0]


def test_edits_compose_in_any_order(portrait: Path, tmp_path: Path) -> None:
    one, two = ["--edit", "age+1"], ["--edit", "smile-1"]
    assert edit(portrait, *one, *two, "-o", tmp_path / "a.png", *TINY, *SHOWN) == 0
    assert edit(portrait, *two, *one, "-o", tmp_path / "b.png", *TINY, *SHOWN) == 0
    assert np.array_equal(photo.read_photo(tmp_path / "a.png").rgb, photo.read_photo(tmp_path / "b.png").rgb)


@pytest.mark.parametrize(
    ("wanted", "code", "said"),
    [
        ([], 2, "no edit is given"),
        (["--edit", "aeg+2"], 2, "did you mean age"),
        (["--edit", "age+2@0:03-"], 2, "but a picture has only one frame"),
        (["--edit", "age+2", "-o", "out.txt"], 2, "supported picture format"),
        (["--edit", "age+2", "-o", "none/out.png"], 7, "none"),
        (["--track", "4:age+2"], 4, "no person 4"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    portrait: Path,
    wanted: list[str],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(portrait.parent)
    assert edit("in.png", *wanted, *TINY, "--progress", "none") == code
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and said in error
    assert not left_behind(portrait.parent, but={"in.png"})


def test_what_a_killed_edit_left_is_not_gone_on_from(portrait: Path, tmp_path: Path) -> None:
    with JobFolder(tmp_path / "out.png") as folder:  # which it takes first
        left = folder.path
    (left / "journal.jsonl").write_text('{"segment": 0, "files": {}, "faces": [{"frame": 0, "track": 9}]}')
    assert edit(portrait, "--edit", "age+2", "-o", tmp_path / "out.png", *TINY, *SHOWN) == 0
    report = json.loads((tmp_path / "out.png.json").read_text())
    assert [track["id"] for track in report["identity"]["tracks"]] == [0] and not left.exists()


def test_no_face_and_no_picture_have_their_exit_codes(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "black.png")
    (tmp_path / "text.png").write_text("hello")
    assert edit(tmp_path / "black.png", "--edit", "age+2", *TINY) == 4
    assert edit(tmp_path / "text.png", "--edit", "age+2", *TINY) == 3
    assert edit(tmp_path / "none.png", "--edit", "age+2", *TINY) == 3
    assert not left_behind(tmp_path, but={"black.png", "text.png"})


def test_an_edit_of_a_part_changes_that_part_alone(portrait: Path, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.png", tmp_path / "part.png"
    assert edit(portrait, "--edit", "age+3", "-o", whole, *TINY, *SHOWN) == 0
    assert edit(portrait, "--edit", "age+3@region=mouth", "-o", part, *TINY, *SHOWN) == 0
    before = photo.read_photo(portrait).rgb
    areas = []
    for path in (whole, part):
        changed = (photo.read_photo(path).rgb != before).any(2)
        rows, columns = np.nonzero(changed)
        report = json.loads(path.with_name(path.name + ".json").read_text())
        x0, y0, x1, y1 = face_rows(report["identity"]["tracks"][0])[0]["rect"]
        assert x0 <= columns.min() and columns.max() < x1 and y0 <= rows.min() and rows.max() < y1
        areas.append(changed.sum())
    assert 0 < areas[1] < 0.5 * areas[0]
    assert report["edits"][0]["region"] == "mouth"


def test_what_cannot_be_measured_changes_nothing(
    portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = replace(
        backends.BACKENDS["tiny"], measure=lambda names=None: lambda images: {"age": np.full(len(images), np.nan)}
    )
    monkeypatch.setitem(backends.BACKENDS, "tiny", blind)
    wanted = ["--edit", "age=60", "--blend", "replace", "-o", tmp_path / "out.png"]
    assert edit(portrait, *wanted, *TINY, *SHOWN) == 0
    report = json.loads((tmp_path / "out.png.json").read_text())
    assert "cannot be measured" in report["warnings"][0] and report["edits"][0]["reached"] is None
    assert np.array_equal(photo.read_photo(tmp_path / "out.png").rgb, photo.read_photo(portrait).rgb)


def test_an_edit_of_strength_0_hides_no_value(portrait: Path, tmp_path: Path) -> None:
    found = []
    for more in ([], ["--edit", "smile+0@region=head"]):
        wanted = ["--edit", "age=900@region=mouth", *more, "--blend", "replace", "--overwrite"]
        assert edit(portrait, *wanted, "-o", tmp_path / "out.png", *TINY, *SHOWN) == 0
        edits = json.loads((tmp_path / "out.png.json").read_text())["edits"]
        found.append([each["reached"] for each in edits if each["name"] == "age"])
    assert found[0] == found[1]


def test_a_gray_photo_stays_gray_and_a_deep_one_deep(tmp_path: Path) -> None:
    deep = np.random.default_rng(1).integers(16_000, 50_000, (64, 96), np.uint16)
    cv2.imwrite(str(tmp_path / "gray.png"), (deep >> 8).astype(np.uint8))
    cv2.imwrite(str(tmp_path / "deep.png"), np.dstack([deep, deep, deep]))
    for name, kind, shape in (("gray", np.uint8, (64, 96)), ("deep", np.uint16, (64, 96, 3))):
        output = tmp_path / f"{name}.out.png"
        assert edit(tmp_path / f"{name}.png", "--edit", "age+3", "-o", output, *TINY, *SHOWN) == 0
        before = cv2.imread(str(tmp_path / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        after = cv2.imread(str(output), cv2.IMREAD_UNCHANGED)
        assert after.dtype == kind and after.shape == shape
        assert np.array_equal(before[:2], after[:2]) and (before != after).any()


@pytest.mark.parametrize("suffix", [".bmp", ".tiff", ".gif", ".avif"])
def test_a_photo_that_cannot_be_written_in_its_format_becomes_a_png(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((64, 96, 3), 120, np.uint8)).save(f"in{suffix}")
    assert edit(f"in{suffix}", "--edit", "age+0", *TINY) == 0
    assert Path("in.edited.png").exists()


def test_the_place_of_a_photo_is_left_out_if_asked(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (52.0, 30.0, 0.0)
    Image.fromarray(np.full((64, 96, 3), 120, np.uint8)).save(tmp_path / "in.jpg", exif=exif)
    for name, options, is_kept in (("kept.jpg", [], True), ("stripped.jpg", ["--strip-location"], False)):
        assert edit(tmp_path / "in.jpg", "--edit", "age+0", "-o", tmp_path / name, *options, *TINY) == 0
        with Image.open(tmp_path / name) as written:
            assert bool(written.getexif().get_ifd(ExifTags.IFD.GPSInfo)) == is_kept


def test_what_the_format_cannot_hold_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = Image.fromarray(np.full((64, 96, 4), 120, np.uint8), "RGBA")
    picture.save(tmp_path / "in.png")
    assert edit(tmp_path / "in.png", "--edit", "age+0", "-o", tmp_path / "out.jpg", *TINY) == 0
    assert "warning: .jpg cannot hold transparency; left out" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["edit", "mix", "interpolate"])
def test_a_video_is_answered_with_the_command_for_videos(
    command: str, portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip(tmp_path / "talk.mp4", frames=4)
    rest = ["--edit", "age+2"] if command == "edit" else [str(portrait)]
    output = tmp_path / ("out.mp4" if command == "interpolate" else "out.png")
    assert main([command, str(clip), *rest, "-o", str(output), *TINY]) == 2
    line = capsys.readouterr().err
    assert f"{clip} is a video" in line and ("vidinv run" if command == "edit" else "ffmpeg") in line


def test_a_picture_given_to_run_is_answered_with_edit(portrait: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(portrait), "--edit", "age+2", *TINY]) == 2
    assert f"vidinv edit {portrait}" in capsys.readouterr().err
