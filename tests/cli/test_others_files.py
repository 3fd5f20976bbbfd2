"""Files that are not the command's: there before, or made by somebody while the job runs, they stay as they are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.file_operations import before_change, has_content, is_outside_job
from tests.helpers.others_files import (
    FILES,
    PUT,
    QUIET,
    Put,
    dangling,
    folder,
    is_untouched,
    letter,
    link,
    refused,
    run_all,
    taken_away,
)
from tests.helpers.runs import document, frames_of, left_behind
from vidinv import process
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", frames=6)


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
