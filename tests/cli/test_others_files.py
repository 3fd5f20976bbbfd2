"""Files that are not the command's: there before, or made by somebody while the job runs, they stay as they are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.file_operations import before_change, has_content, is_outside_job
from tests.helpers.runs import TINY, document, frames_of, left_behind
from vidinv import process
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
QUIET = [*TINY, "-q"]
FILES = {  # what a run writes: the name of each file
    "output": "out.mp4",
    "preview": "out.mp4.preview.mp4",
    "page": "out.mp4.report.html",
    "report": "out.mp4.json",
    "codes": "codes.safetensors",
}
PICTURES = {"output": "out.png", "preview": "out.png.preview.png", "report": "out.png.json"}
Put = Callable[[Path], None]


def letter(path: Path) -> None:
    path.write_text("somebody's")


def folder(path: Path) -> None:
    path.mkdir()
    letter(path / "letter")


def dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nothing"))


def link(path: Path) -> None:
    letter(path.with_name("secret"))
    path.symlink_to(path.with_name("secret"))


PUT: list[Put] = [letter, folder, dangling, link]


def is_untouched(path: Path, put: Put) -> bool:
    """Whether what `put` made is as it was, and what a link points to as well."""
    if put is folder:
        return [each.name for each in path.iterdir()] == ["letter"] and (path / "letter").read_text() == "somebody's"
    if put is dangling:
        return path.is_symlink() and not path.with_name("nothing").exists()
    return path.is_symlink() == (put is link) and path.read_text() == "somebody's"


def taken_away(path: Path, put: Put) -> None:
    if put is folder:
        (path / "letter").unlink()
        path.rmdir()
    else:
        path.unlink()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", frames=6)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    samples = np.random.default_rng(0).integers(60, 200, (64, 96, 3), np.uint8)
    for name in ("in.png", "other.png"):
        Image.fromarray(samples).save(tmp_path / name)
    return tmp_path / "in.png"


def run_all(clip: Path, *options: str) -> list[str]:
    """A run that writes every file there is."""
    output, codes = (str(clip.with_name(FILES[kind])) for kind in ("output", "codes"))
    how = ["--edit", "age+3", "--preview", "--report", "--codes", codes, "--codec", "lossless"]
    return ["run", str(clip), "-o", output, *how, *QUIET, *options]


def edit(picture: Path, *options: str) -> list[str]:
    return ["edit", str(picture), "-o", str(picture.with_name("out.png")), "--edit", "age+3", *QUIET, *options]


def mix(picture: Path, *options: str) -> list[str]:
    other = str(picture.with_name("other.png"))
    return ["mix", str(picture), other, "-o", str(picture.with_name("out.png")), *QUIET, *options]


def refused(capsys: pytest.CaptureFixture[str], command: list[str], code: int = 7) -> str:
    """The one line with which a command ends."""
    capsys.readouterr()
    assert main(command) == code
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    return said


@pytest.mark.parametrize("put", PUT)
@pytest.mark.parametrize("kind", [kind for kind in FILES if kind != "codes"])  # codes that exist are read
def test_what_is_there_before_a_run_is_found_before_the_work(
    clip: Path, kind: str, put: Put, capsys: pytest.CaptureFixture[str]
) -> None:
    path = clip.with_name(FILES[kind])
    put(path)
    assert path.name in refused(capsys, run_all(clip))
    assert is_untouched(path, put)
    assert left_behind(clip.parent, but={"in.mp4", path.name, "secret"}) == set()


def test_codes_that_are_a_link_to_nothing_are_not_written(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dangling(clip.with_name(FILES["codes"]))
    assert "codes.safetensors exists" in refused(capsys, run_all(clip))
    assert is_untouched(clip.with_name(FILES["codes"]), dangling) and not clip.with_name("out.mp4").exists()


@pytest.mark.parametrize(
    ("kind", "put"),
    [(kind, letter) for kind in FILES] + [(kind, put) for kind in ("report", "codes") for put in PUT[1:]],
)
def test_what_comes_while_a_run_works_stays_and_the_result_is_kept_and_named(
    clip: Path, kind: str, put: Put, capsys: pytest.CaptureFixture[str]
) -> None:
    path, job = clip.with_name(FILES[kind]), clip.with_name("out.mp4.vidinv")
    with before_change("journal.jsonl", lambda: put(path)):
        said = refused(capsys, run_all(clip))
    assert is_untouched(path, put)
    assert FILES[kind] in said and str(job) in said
    named = next(word.strip(";:,") for word in said.split() if word.startswith(str(job)))
    assert has_content(Path(named))
    made = {name for name in FILES.values() if clip.with_name(name).exists()} - {path.name}
    assert not made  # nothing is published where not everything can be
    if kind == "codes" and put is not dangling:
        assert path.name in refused(capsys, run_all(clip))  # they are not the job's
    taken_away(path, put)
    assert main(run_all(clip)) == 0
    assert len(frames_of(clip.with_name("out.mp4"))) == 6 and document(clip.with_name("out.mp4.json"))
    assert left_behind(clip.parent, but={"in.mp4", "secret"}) == set(FILES.values())


@pytest.mark.parametrize("kind", FILES)
def test_what_comes_between_two_files_that_are_published_stays(
    clip: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = clip.with_name(FILES[kind])
    with before_change(path.name, lambda: letter(path), is_outside_job):
        said = refused(capsys, run_all(clip))
    assert is_untouched(path, letter) and "the result is kept as" in said
    path.unlink()
    assert main(run_all(clip)) == 0
    assert left_behind(clip.parent, but={"in.mp4"}) == set(FILES.values())


@pytest.mark.parametrize("has_renames", [True, False])
def test_a_disk_without_links_has_the_same_files_and_keeps_what_is_not_the_runs(
    clip: Path, has_renames: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def without(*_: object, **__: object) -> None:
        raise PermissionError(1, "this disk has no links")

    monkeypatch.setattr(os, "link", without)
    if not has_renames:
        monkeypatch.setattr(process, "rename_exclusively", lambda *_: False)
    path = clip.with_name(FILES["report"])
    with before_change("journal.jsonl", lambda: letter(path)):
        refused(capsys, run_all(clip))
    assert is_untouched(path, letter)
    path.unlink()
    assert main(run_all(clip)) == 0
    assert left_behind(clip.parent, but={"in.mp4"}) == set(FILES.values())


@pytest.mark.parametrize("kind", ["preview", "page", "report", "codes"])
@pytest.mark.slow
def test_a_run_that_is_killed_between_two_files_is_repeated_without_overwrite(clip: Path, kind: str) -> None:
    program = (
        "import os, signal, sys; from tests.helpers.file_operations import before_change, is_outside_job\n"
        "from vidinv.cli.main import main\n"
        f"with before_change({FILES[kind]!r}, lambda: os.kill(os.getpid(), signal.SIGKILL), is_outside_job):\n"
        "    sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-c", program, *run_all(clip)], cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    assert clip.with_name("out.mp4").exists() and not clip.with_name(FILES[kind]).exists()
    assert main(run_all(clip)) == 0
    assert left_behind(clip.parent, but={"in.mp4"}) == set(FILES.values())
    assert main(run_all(clip)) == 7  # now they are finished, and anybody's


@pytest.mark.parametrize("put", [letter, dangling, link])
def test_overwrite_replaces_a_file_or_the_link_itself_and_not_what_it_points_to(clip: Path, put: Put) -> None:
    for kind in ("output", "preview", "page", "report"):
        put(clip.with_name(FILES[kind])) if kind == "output" or put is not link else None
    assert main(run_all(clip, "--overwrite")) == 0
    assert not any(clip.with_name(name).is_symlink() for name in FILES.values())
    assert not clip.with_name("nothing").exists()
    if put is link:
        assert clip.with_name("secret").read_text() == "somebody's"


@pytest.mark.parametrize("kind", FILES)
def test_overwrite_does_not_replace_a_folder_that_comes_while_a_run_works(
    clip: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = clip.with_name(FILES[kind])
    with before_change("journal.jsonl", lambda: folder(path)):
        refused(capsys, run_all(clip, "--overwrite"))
    assert is_untouched(path, folder)


@pytest.mark.parametrize("options", [[], ["--overwrite"]])
def test_a_folder_of_ones_own_in_the_place_of_the_pictures_stays(
    clip: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    output = clip.with_name("out")
    command = ["run", str(clip), "-o", str(output), "--edit", "age+3", *QUIET, *options]
    with before_change("journal.jsonl", lambda: folder(output)):
        assert "out.vidinv/made" in refused(capsys, command)
    assert is_untouched(output, folder) and not clip.with_name("out.json").exists()
    taken_away(output, folder)
    assert main(command) == 0 and len(list(output.glob("*.png"))) == 6


def test_a_links_name_of_a_draft_is_not_written_through(clip: Path) -> None:
    letter(clip.with_name("secret"))
    for name in (".out.mp4.json.part", ".out.mp4.part", "out.mp4.part"):
        clip.with_name(name).symlink_to("secret")
    assert main(run_all(clip)) == 0
    assert clip.with_name("secret").read_text() == "somebody's"
    assert all(clip.with_name(name).is_symlink() for name in (".out.mp4.json.part", ".out.mp4.part", "out.mp4.part"))


def test_a_job_folder_with_other_files_is_refused_before_the_work(
    clip: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (run_all(clip), edit(picture), mix(picture)):
        mine = Path(command[command.index("-o") + 1] + ".vidinv")
        mine.mkdir(exist_ok=True)
        letter(mine / "letter")
        assert f"{mine.name} holds letter" in refused(capsys, command)
        assert is_untouched(mine, folder)


def test_a_preview_of_a_moment_does_not_stand_in_the_way_of_the_run(clip: Path) -> None:
    how = ["-o", str(clip.with_name("out.mp4")), "--edit", "age+3", *QUIET]
    assert main(["run", str(clip), *how, "--preview", "--at", "0"]) == 0
    made = {"out.mp4.preview.mp4", "out.mp4.preview.mp4.json"}
    assert left_behind(clip.parent, but={"in.mp4"}) == made
    assert main(["run", str(clip), *how]) == 0
    assert left_behind(clip.parent, but={"in.mp4"}) == made | {"out.mp4", "out.mp4.json"}


def test_what_a_gate_that_is_missed_would_write_is_checked_too(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    letter(clip.with_name("out.gate-missed.mp4.json"))
    assert "out.gate-missed.mp4.json exists" in refused(capsys, run_all(clip, "--min-identity", "0.9"))


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
