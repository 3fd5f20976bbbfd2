"""Files that are not the command's, in the place of what pictures, pages, JSON, codes and trainings write."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.file_operations import before_change, has_content
from tests.helpers.others_files import (
    FILES,
    PUT,
    QUIET,
    Put,
    dangling,
    folder,
    is_untouched,
    letter,
    refused,
    run_all,
    taken_away,
)
from tests.helpers.runs import document, left_behind
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main

PICTURES = {"output": "out.png", "preview": "out.png.preview.png", "report": "out.png.json"}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", frames=6)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    samples = np.random.default_rng(0).integers(60, 200, (64, 96, 3), np.uint8)
    for name in ("in.png", "other.png"):
        Image.fromarray(samples).save(tmp_path / name)
    return tmp_path / "in.png"


def edit(picture: Path, *options: str) -> list[str]:
    return ["edit", str(picture), "-o", str(picture.with_name("out.png")), "--edit", "age+3", *QUIET, *options]


def mix(picture: Path, *options: str) -> list[str]:
    other = str(picture.with_name("other.png"))
    return ["mix", str(picture), other, "-o", str(picture.with_name("out.png")), *QUIET, *options]


@pytest.mark.parametrize(
    ("command", "kind", "put"), [(edit, kind, put) for kind in PICTURES for put in PUT] + [(mix, "report", letter)]
)
def test_a_picture_has_the_same_care(
    picture: Path, kind: str, put: Put, command: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path = picture.with_name(PICTURES[kind])
    put(path)
    refused(capsys, command(picture, "--preview"))
    assert is_untouched(path, put)
    taken_away(path, put)
    with before_change("*out.png*", lambda: put(path)):  # the first file that is made
        said = refused(capsys, command(picture, "--preview"))
    assert is_untouched(path, put)
    named = next(word.strip(";:,") for word in said.split() if ".vidinv/made/" in word)
    assert has_content(Path(named))
    taken_away(path, put)
    assert main(command(picture, "--preview")) == 0
    assert left_behind(picture.parent, but={"in.png", "other.png", "secret"}) == set(PICTURES.values())


def test_a_film_from_one_face_to_another_replaces_nothing(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film, other = picture.with_name("film.mp4"), str(picture.with_name("other.png"))
    command = ["interpolate", str(picture), other, "-o", str(film), "--seconds", "0.2", *QUIET]
    with before_change("*film.mp4*", lambda: letter(film), lambda path: "made" in path.parts):
        said = refused(capsys, command)
    assert is_untouched(film, letter) and ".vidinv/made/" in said
    refused(capsys, command)
    film.unlink()
    assert main(command) == 0
    assert left_behind(picture.parent, but={"in.png", "other.png"}) == {"film.mp4"}


def test_the_page_of_a_pair_and_its_json_replace_nothing(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, report = clip.with_name("pair.html"), clip.with_name("pair.json")
    command = ["report", str(clip), str(clip), "-o", str(page), "--backend", "tiny", "--progress", "none"]
    command += ["--set", "crop=64"]
    letter(report)
    assert "pair.json exists" in refused(capsys, command)
    report.unlink()
    for path in (page, report):
        with before_change("journal.jsonl", lambda path=path: letter(path)):  # type: ignore[misc]
            assert path.name in refused(capsys, command)
        assert is_untouched(path, letter)
        path.unlink()
    assert main(command) == 0
    assert left_behind(clip.parent, but={"in.mp4"}) == {"pair.html", "pair.json"}


def test_a_page_that_is_built_again_replaces_only_a_page(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(run_all(clip)) == 0
    page, again = clip.with_name(FILES["page"]), ["report", str(clip.with_name("out.mp4"))]
    assert main(again) == 0
    page.unlink()
    letter(page)
    assert "report.html exists" in refused(capsys, again) and is_untouched(page, letter)
    page.unlink()
    dangling(page)
    refused(capsys, again)
    assert is_untouched(page, dangling)


def test_codes_and_their_picture_replace_nothing(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    codes, sheet = clip.with_name("in.safetensors"), clip.with_name("sheet.png")
    command = ["invert", str(clip), "-o", str(codes), "--render", str(sheet), *QUIET]
    with before_change("journal.jsonl", lambda: letter(codes)):
        assert "in.safetensors.vidinv/codes.safetensors" in refused(capsys, command)
    assert is_untouched(codes, letter)
    codes.unlink()
    with before_change("journal.jsonl", lambda: None), before_change("*sheet.png*", lambda: letter(sheet)):
        said = refused(capsys, command)
    assert is_untouched(sheet, letter)
    assert has_content(Path(said.strip().rpartition(" ")[2]))  # the picture, under another name
    assert has_content(codes)


def test_json_replaces_json_and_nothing_else(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--json FILE` is checked before the work: an earlier result is replaced, and no other file."""
    target = clip.with_name("table.json")
    show = ["backend", "show", "tiny", "--json", str(target)]
    for earlier in (None, "", ' {"name": "old"}', "[1, 2]"):
        if earlier is not None:
            target.write_text(earlier)
        assert main(show) == 0
        assert json.loads(target.read_text())["name"] == "tiny"
    for put in PUT:
        target.unlink()
        put(target)
        refused(capsys, show)
        assert is_untouched(target, put)
        taken_away(target, put)
        target.touch()
    own = clip.read_bytes()
    assert "no JSON document" in refused(capsys, [*run_all(clip), "--json", str(clip)])
    assert clip.read_bytes() == own and not clip.with_name("out.mp4").exists()


def test_json_does_not_replace_what_came_meanwhile(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = clip.with_name("table.json")
    with before_change("journal.jsonl", lambda: target.write_text("{}")):
        said = refused(capsys, [*run_all(clip), "--json", str(target)])
    assert target.read_text() == "{}" and clip.with_name("out.mp4").exists()
    (kept,) = clip.parent.glob("table.kept-*.json")
    assert str(kept) in said and json.loads(kept.read_text())["frames"] == 6


def test_json_may_name_the_report_that_the_command_writes_anyway(clip: Path) -> None:
    report = clip.with_name(FILES["report"])
    assert main([*run_all(clip), "--json", str(report)]) == 0
    assert document(report)["frames"] == 6
    assert main([*run_all(clip), "--json", str(report)]) == 7  # now it is finished, and anybody's


def test_json_goes_through_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        assert main(["backend", "show", "tiny", "--json", str(pipe)]) == 0
        assert reader.stdout is not None and json.loads(reader.stdout.read())["name"] == "tiny"
    assert pipe.is_fifo()


def test_a_strip_of_a_direction_replaces_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    strip = tmp_path / "strip.png"
    command = ["directions", "show", "age", "-o", str(strip), "--backend", "tiny", "--people", "1"]
    dangling(strip)
    refused(capsys, command)
    assert is_untouched(strip, dangling)
    strip.unlink()
    with before_change("*strip.png*", lambda: letter(strip)):
        said = refused(capsys, command)
    assert is_untouched(strip, letter) and has_content(Path(said.strip().rpartition(" ")[2]))
    assert main([*command, "--overwrite"]) == 0 and strip.read_bytes()[:4] == b"\x89PNG"


def test_directions_that_are_found_replace_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["directions", "find", "--count", "1", "--backend", "tiny", "--out", str(tmp_path)]
    assert main(command) == 0
    (made,) = tmp_path.glob("*/sefa.1.safetensors")
    for put in PUT:
        taken_away(made, letter)
        put(made)
        refused(capsys, command)
        assert is_untouched(made, put)
        taken_away(made, put)
        made.touch()
    made.unlink()
    with before_change("*sefa.1.safetensors*", lambda: letter(made)):
        refused(capsys, command)
    assert is_untouched(made, letter)


def test_a_new_training_begins_in_an_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for put in (letter, folder, dangling):
        place = tmp_path / put.__name__
        put(place)
        command = ["train", "automodulator", "-o", str(place), "--config", "tiny", "--device", "cpu", "--offline"]
        assert "not an empty folder" in refused(capsys, command)
        assert is_untouched(place, put)


def test_a_job_folder_with_other_files_is_refused_before_the_work(
    clip: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (run_all(clip), edit(picture), mix(picture)):
        mine = Path(command[command.index("-o") + 1] + ".vidinv")
        mine.mkdir(exist_ok=True)
        letter(mine / "letter")
        assert f"{mine.name} holds letter" in refused(capsys, command)
        assert is_untouched(mine, folder)
