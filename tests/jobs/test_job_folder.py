"""The job folder: one run at a time, nothing of another job is gone on from, and what a job made is known again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vidinv import fileio
from vidinv.errors import OutputUnwritable, UsageError
from vidinv.jobs.exclusive_outputs import check_files
from vidinv.jobs.job_folder import JobFolder
from vidinv.jobs.request_files import RequestFiles


def claimed(output: Path, fingerprint: str = "one") -> JobFolder:
    with JobFolder(output) as folder:
        folder.claim(fingerprint, "threads: 1\n")
    return folder


def check(output: Path, source: Path, *, overwrite: bool = False) -> None:
    check_files(RequestFiles(output=output), source, JobFolder(output), overwrite=overwrite)


def make(folder: JobFolder) -> Path:
    """The path at which the output is made."""
    made = folder.start_making(RequestFiles(output=folder.output)).output
    assert made is not None
    return made


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
        made = make(folder)
        if kind == "folder":
            made.mkdir()
        (made / "1.png" if kind == "folder" else made).write_text(word)
        folder.publish(made, output)
        check(output, source)
    assert (output / "1.png" if kind == "folder" else output).read_text() == "again"
    folder.delete()
    assert not folder.path.exists()
    with pytest.raises(OutputUnwritable):
        check(output, source)


def test_what_somebody_else_put_there_is_not(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    source.write_bytes(b"source")
    folder = claimed(output)
    made = make(folder)
    made.write_text("made")
    folder.publish(made, output)
    output.unlink()
    (tmp_path / "other").write_text("mine")
    (tmp_path / "other").rename(output)
    with pytest.raises(OutputUnwritable, match="exists"):
        check(output, source)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_came_to_have_the_name_while_the_job_ran_is_kept_unless_it_is_to_be_overwritten(
    tmp_path: Path, kind: str
) -> None:
    output = tmp_path / "out"
    folder = claimed(output)
    made = make(folder)
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


def test_a_folder_that_came_while_the_job_ran_is_kept_even_with_overwrite(tmp_path: Path) -> None:
    output = tmp_path / "out"
    for kind in ("file", "folder"):
        folder = claimed(output)
        made = make(folder)
        made.mkdir() if kind == "folder" else made.touch()
        output.mkdir(exist_ok=True)
        (output / "letter").write_text("dear")
        with pytest.raises(OutputUnwritable, match="out exists"):
            folder.publish(made, output, overwrite=True)
        assert (output / "letter").read_text() == "dear" and made.exists()


def tree(folder: Path) -> dict[str, object]:
    """Everything in a folder and below it: contents, targets of links, modes and times."""
    found: dict[str, object] = {".": (*os.lstat(folder)[:2], os.lstat(folder).st_mtime_ns)}
    for path in sorted(folder.rglob("*")):
        known = os.lstat(path)
        content = path.read_bytes() if path.is_file() else os.readlink(path) if path.is_symlink() else b""
        found[str(path)] = (content, known.st_mode, known.st_size, known.st_mtime_ns)
    return found


def written(name: str, content: str = "mine") -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)

    return write


def linked(name: str) -> Callable[[Path], None]:
    def link(folder: Path) -> None:
        folder.with_name("secret").write_text("secret")
        (folder / name).symlink_to(folder.with_name("secret"))

    return link


FOREIGN = {
    "a letter": written("letter.txt"),
    "a letter in a folder": written("letters/letter.txt"),
    "a letter among what is made": written("made/letter.txt"),
    "a letter in a training": written("tuning/letter.txt"),
    "a file of a job's name": written("config.yaml"),
    "a lock": written("lock"),
    "a journal and a lock": lambda folder: (written("journal.jsonl")(folder), written("lock", "")(folder)),
    "a record": written("job.json", '{"fingerprint": "one"}'),
    "a hidden file": written(".notes.part"),
    "a linked lock": linked("lock"),
    "a linked journal": linked("journal.jsonl"),
    "a linked draft": linked(".job.json.0123abcd-0123456789ab.part"),
    "a pipe": lambda folder: os.mkfifo(folder / "lock"),
    "an empty folder": lambda folder: (folder / "letters").mkdir(),
}


NAMED_LIKE_A_JOBS = ("a file of a job's name", "a lock", "a journal and a lock", "a record")
IN_A_JOBS_FOLDER = [kind for kind in FOREIGN if kind not in NAMED_LIKE_A_JOBS]  # where those names are the job's own


@pytest.mark.parametrize(
    ("kind", "is_begun"), [(kind, False) for kind in FOREIGN] + [(kind, True) for kind in IN_A_JOBS_FOLDER]
)
def test_a_folder_with_other_files_is_refused_as_it_is(tmp_path: Path, kind: str, is_begun: bool) -> None:
    """Also one that a job began, if something was put into it later."""
    output, source = tmp_path / "out.mp4", tmp_path / "in.mp4"
    source.write_bytes(b"source")
    folder = tmp_path / "out.mp4.vidinv"
    if is_begun:
        claimed(output)
        (folder / "lock").unlink()
    folder.mkdir(mode=0o755, exist_ok=True)
    FOREIGN[kind](folder)
    before = tree(tmp_path)
    with pytest.raises(OutputUnwritable, match=r"out\.mp4\.vidinv holds .*, which no job of vidinv made"):
        check(output, source)
    with pytest.raises(OutputUnwritable, match="which no job"):
        claimed(output)
    assert tree(tmp_path) == before


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out.mp4.vidinv").write_text("mine")
    with pytest.raises(OutputUnwritable, match="not a folder"):
        claimed(tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4.vidinv").read_text() == "mine"


@pytest.mark.parametrize("left", [(), ("lock",), ("lock", "config.yaml"), ("lock", "published")])
def test_what_a_run_left_that_was_killed_before_its_record_is_used_again(tmp_path: Path, left: tuple[str, ...]) -> None:
    folder = claimed(tmp_path / "out.mp4")
    for entry in folder.path.iterdir():
        if entry.name not in left:
            entry.unlink()
    if left == ("lock",):
        (folder.path / "lock").write_bytes(b"")  # killed before it wrote into its lock
    again = claimed(tmp_path / "out.mp4", "two")
    assert again.is_begun
    again.delete()
    assert list(tmp_path.iterdir()) == []


def test_a_job_of_an_earlier_version_is_known_by_its_record(tmp_path: Path) -> None:
    folder = claimed(tmp_path / "out.mp4")
    (folder.path / "lock").write_bytes(b"")
    assert claimed(tmp_path / "out.mp4").is_begun


def test_what_is_put_into_the_folder_while_the_job_runs_stays(tmp_path: Path) -> None:
    with JobFolder(tmp_path / "out.mp4") as folder:
        folder.claim("one", "threads: 1\n")
        (folder.path / "made").mkdir()
        (folder.path / "made" / "letter.txt").write_text("mine")
        linked("journal.jsonl")(folder.path)
        folder.delete()
    assert (folder.path / "made" / "letter.txt").read_text() == "mine" and (tmp_path / "secret").read_text() == "secret"
    assert {path.name for path in folder.path.iterdir()} == {"made", "journal.jsonl"}
    with pytest.raises(OutputUnwritable, match="which no job"):
        claimed(tmp_path / "out.mp4")


def test_a_folder_that_was_exchanged_while_the_job_ran_is_not_emptied(tmp_path: Path) -> None:
    with JobFolder(tmp_path / "out.mp4") as folder:
        folder.claim("one", "threads: 1\n")
        folder.path.rename(tmp_path / "moved")
        folder.path.mkdir()
        (folder.path / "config.yaml").write_text("mine")
        folder.delete()
    assert (folder.path / "config.yaml").read_text() == "mine" and not any((tmp_path / "moved").iterdir())


def test_the_lock_is_not_truncated(tmp_path: Path) -> None:
    with JobFolder(tmp_path / "out.mp4") as folder:
        before = (folder.path / "lock").read_bytes()
        with pytest.raises(OutputUnwritable, match="another run"), JobFolder(tmp_path / "out.mp4"):
            pass
        assert before and (folder.path / "lock").read_bytes() == before


def test_every_file_that_was_published_is_the_jobs_own(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    source.write_bytes(b"source")
    files = RequestFiles(output=output, report=tmp_path / "out.mp4.json", page=tmp_path / "out.mp4.report.html")
    folder = claimed(output)
    made = folder.start_making(files)
    for path in made.paths():
        path.write_text(path.name)
    for draft, path in files.with_drafts(made):
        folder.publish(draft, path)
        check_files(files, source, folder, overwrite=False)
    folder.delete()
    for path in files.paths():
        assert path.read_text() == path.name
    with pytest.raises(OutputUnwritable, match="exists"):
        check_files(files, source, folder, overwrite=False)


@pytest.mark.parametrize("content", [b"", b"text", b"[]", b"3", b"{}", b"[" * 100_000, b'{"fingerprint": [1]}'])
def test_a_record_of_another_form_is_a_damaged_job(tmp_path: Path, content: bytes) -> None:
    with JobFolder(tmp_path / "out.mp4") as folder:
        folder.claim("one", "config")
        fileio.write_sealed(folder.path / "job.json", content)
        with pytest.raises(UsageError, match="job"):
            folder.claim("one", "config")
