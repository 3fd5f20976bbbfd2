"""The job folder: one run at a time, nothing of another job is gone on from, and what a job made is known again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vidinv import fileio
from vidinv.errors import OutputUnwritable, UsageError
from vidinv.jobs.job_folder import JobFolder, check_output


def claimed(output: Path, fingerprint: str = "one") -> JobFolder:
    with JobFolder(output) as folder:
        folder.claim(fingerprint, "threads: 1\n")
    return folder


def test_two_runs_do_not_share_an_output(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    with JobFolder(output), pytest.raises(OutputUnwritable, match="by another run"), JobFolder(output):
        pass
    with JobFolder(output):  # the first has ended
        pass


def test_a_lock_whose_folder_went_away_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output, stat, removed = tmp_path / "out.mp4", os.stat, []

    def gone_once(path: object, **given: object) -> os.stat_result:
        if str(path).endswith("lock") and not removed:
            removed.append(path)
            JobFolder(output).delete()  # what the run that ended does just now
        return stat(path, **given)  # type: ignore[arg-type, call-overload, no-any-return]

    monkeypatch.setattr(os, "stat", gone_once)
    with JobFolder(output) as folder:
        assert removed and (folder.path / "lock").exists()
        with pytest.raises(OutputUnwritable), JobFolder(output):
            pass


def test_a_link_in_the_folders_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("dear")
    (tmp_path / "out.mp4.vidinv").symlink_to(tmp_path / "mine")
    with pytest.raises(OutputUnwritable, match="link"):
        claimed(tmp_path / "out.mp4")
    assert (tmp_path / "mine" / "letter").exists()


def test_another_job_is_refused_and_a_damaged_one_too(tmp_path: Path) -> None:
    folder = claimed(tmp_path / "out.mp4")
    claimed(tmp_path / "out.mp4")
    with pytest.raises(UsageError, match="another source"):
        claimed(tmp_path / "out.mp4", "two")
    (folder.path / "job.json").write_text('{"fingerprint": "one"}')
    with pytest.raises(UsageError, match="damaged"):
        claimed(tmp_path / "out.mp4")


def test_what_a_run_left_that_was_killed_while_it_tidied_up_is_of_no_other_job(tmp_path: Path) -> None:
    folder = claimed(tmp_path / "out.mp4")
    (folder.path / "journal.jsonl").write_text("of the first job")
    (folder.path / "job.json").unlink()
    claimed(tmp_path / "out.mp4", "two")
    assert not (folder.path / "journal.jsonl").exists()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_job_put_in_place_before_it_was_killed_is_its_own(tmp_path: Path, kind: str) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out"
    source.write_bytes(b"source")
    for word in ("first", "again"):
        folder = claimed(output)
        made = folder.place(output)
        if kind == "folder":
            made.mkdir()
        (made / "1.png" if kind == "folder" else made).write_text(word)
        folder.publish(made, output)
        check_output(output, source, overwrite=False)
    assert (output / "1.png" if kind == "folder" else output).read_text() == "again"
    folder.delete()
    assert not folder.path.exists()
    with pytest.raises(OutputUnwritable):
        check_output(output, source, overwrite=False)


def test_what_somebody_else_put_there_is_not(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    source.write_bytes(b"source")
    folder = claimed(output)
    made = folder.place(output)
    made.write_text("made")
    folder.publish(made, output)
    output.unlink()
    (tmp_path / "other").write_text("mine")
    (tmp_path / "other").rename(output)
    with pytest.raises(OutputUnwritable, match="exists"):
        check_output(output, source, overwrite=False)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_came_to_have_the_name_while_the_job_ran_is_kept_unless_it_is_to_be_overwritten(
    tmp_path: Path, kind: str
) -> None:
    output = tmp_path / "out"
    folder = claimed(output)
    made = folder.place(output)
    if kind == "folder":
        made.mkdir()
    (made / "1.png" if kind == "folder" else made).write_text("made")
    output.write_text("somebody's")
    with pytest.raises(OutputUnwritable, match="out exists"):
        folder.publish(made, output)
    assert output.read_text() == "somebody's" and made.exists()
    if kind == "file":
        folder.publish(made, output, overwrite=True)
        assert output.read_text() == "made"


def test_what_killed_runs_left_beside_the_output_goes_with_the_folder(tmp_path: Path) -> None:
    folder = claimed(tmp_path / "out.mp4")
    with fileio.replacing(tmp_path / "out.mp4.json") as draft:
        draft.write_text("whole")
    draft.write_text("half")  # as a run that is killed leaves it
    (tmp_path / ".mine.part").write_text("mine")
    folder.delete()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == [".mine.part"]
