"""The files of a batch's own folder and of shared storage: what a batch did not make stays, a full disk is exit 7."""

from __future__ import annotations

import errno
import json
import os
import resource
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.file_operations import full_disk
from tests.helpers.runs import TINY, left_behind
from vidinv import config as configs
from vidinv.batch import folder as batch_folder
from vidinv.batch import storage
from vidinv.batch.journal import BatchJournal
from vidinv.batch.remote_files import RemoteFiles
from vidinv.batch.task import TaskOrder
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main
from vidinv.config import RunConfig
from vidinv.errors import OutputUnwritable

CONFIG = configs.with_edits(RunConfig(backend="tiny"), ["age+2"])
OWN = ("batch.sqlite", "batch.log", "batch.html", "batch.lock")


def letter(path: Path) -> None:
    path.write_text("somebody's, and long enough to be no lock of a batch")


def link(path: Path) -> None:
    path.symlink_to(path.with_name("secret"))
    letter(path.with_name("secret"))


def dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nothing"))


@pytest.mark.parametrize("put", [letter, link, dangling])
@pytest.mark.parametrize("name", OWN)
def test_a_file_of_ones_own_with_a_batchs_name_is_refused_and_stays(
    tmp_path: Path, name: str, put: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    make_clip(tmp_path / "in" / "a.mp4", frames=2)
    output = tmp_path / "out"
    output.mkdir()
    put(output / name)
    assert main(["batch", str(tmp_path / "in"), "-o", str(output), "--edit", "age+2", *TINY]) == 7
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and name in said
    assert not (output / "nothing").exists()
    if put is not dangling:
        assert (output / name).read_text().startswith("somebody's")
    assert left_behind(output, but={"secret", "batch.lock"}) <= {name}


def test_a_folder_of_ones_own_with_the_name_of_the_exchange_folder_stays(tmp_path: Path) -> None:
    (tmp_path / ".batch").mkdir()
    letter(tmp_path / ".batch" / "letter")
    with pytest.raises(OutputUnwritable, match=r"\.batch exists"), batch_folder.open_batch_folder(str(tmp_path)):
        pass
    assert (tmp_path / ".batch" / "letter").exists() and left_behind(tmp_path, but=set()) == {".batch"}


def test_another_programs_database_is_not_changed(tmp_path: Path) -> None:
    mine = sqlite3.connect(tmp_path / "batch.sqlite")
    mine.execute("create table letters (text)")
    mine.commit()
    mine.close()
    before = (tmp_path / "batch.sqlite").read_bytes()
    with pytest.raises(OutputUnwritable, match="journal"), batch_folder.open_batch_folder(str(tmp_path)):
        pass
    assert (tmp_path / "batch.sqlite").read_bytes() == before


def test_a_folder_that_a_batch_used_is_used_again(tmp_path: Path) -> None:
    for _ in range(2):
        with batch_folder.open_batch_folder(str(tmp_path)) as opened:
            opened.note("begun")
            (tmp_path / "batch.html").write_text("its page")
    assert (tmp_path / "batch.log").read_text().count("begun") == 2


def test_an_output_of_ones_own_in_the_batchs_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    make_clip(tmp_path / "in" / "a.mp4", frames=2)
    (tmp_path / "out").mkdir()
    letter(tmp_path / "out" / "a.edited.mp4.json")
    told = tmp_path / "told.json"
    how = ["--edit", "age+2", "--retries", "0", "--workers", "1", "--json", str(told), *TINY]
    assert main(["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *how]) == 7
    (clip,) = json.loads(told.read_text())["clips"]
    assert clip["code"] == 7 and "a.edited.mp4.json exists" in clip["error"]
    assert (tmp_path / "out" / "a.edited.mp4.json").read_text().startswith("somebody's")
    assert not (tmp_path / "out" / "a.edited.mp4").exists()


def test_a_full_disk_under_the_journal_is_an_unwritable_output(tmp_path: Path) -> None:
    journal = BatchJournal(tmp_path / "batch.sqlite")
    journal._open.execute("pragma max_page_count = 4")
    orders = [TaskOrder(n, f"{n}.mp4", f"{n}.edited.mp4", CONFIG) for n in range(1, 200)]
    with pytest.raises(OutputUnwritable, match=r"batch\.sqlite \(database or disk is full\); free some"):
        journal.enter(orders)
    journal.close()


@pytest.mark.parametrize("name", ["batch.lock", "batch.log", "*batch.html*"])
def test_a_full_disk_under_a_batchs_own_files_is_exit_7_in_one_line(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    make_clip(tmp_path / "in" / "a.mp4", frames=2)
    command = ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--edit", "age+2", "--workers", "1", *TINY]
    with full_disk(name):
        assert main([*command, "--progress", "none"]) == 7
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "No space left" in said


@pytest.mark.slow
def test_a_full_disk_under_a_clips_output_is_the_clips_exit_7(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (30, 64, 96, 3), np.uint8)
    make_clip(tmp_path / "in" / "a.mp4", frames=30, image=lambda index: noise[index])
    told, limit = tmp_path / "told.json", 300_000  # bytes: more than the journal and each segment, less than the output
    how = ["--edit", "age+0", "--set", "codec=lossless", "--set", "segment_seconds=0.2", "--retries", "0", *TINY]
    how += ["--workers", "1", "--progress", "none", "--json", str(told)]
    done = subprocess.run(
        [sys.executable, "-m", "vidinv", "batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *how],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 7, done.stderr
    (clip,) = json.loads(told.read_text())["clips"]
    assert clip["code"] == 7 and os.strerror(errno.EFBIG) in clip["error"]


def test_files_of_others_on_shared_storage_stay(tmp_path: Path) -> None:
    place = f"memory://{uuid.uuid4().hex}"
    made = [tmp_path / "a.mp4", tmp_path / "a.mp4.json"]
    for path in made:
        path.write_text(path.name)
    files = RemoteFiles(place, f"{place}/.batch/a.published", overwrite=False)
    storage.write_small(f"{place}/a.mp4.json", b"somebody's")
    with pytest.raises(OutputUnwritable, match=r"a\.mp4\.json exists"):
        files.check(made)
    with pytest.raises(OutputUnwritable, match=r"a\.mp4\.json exists"):
        files.publish(made)
    assert storage.names(place) == ["a.mp4.json"] and storage.read_small(f"{place}/a.mp4.json") == b"somebody's"
    RemoteFiles(place, f"{place}/.batch/a.published", overwrite=True).publish(made)
    assert storage.read_small(f"{place}/a.mp4.json") == b"a.mp4.json"
    with pytest.raises(OutputUnwritable):
        files.check(made)  # the record is gone: they are finished, and anybody's


def test_what_a_killed_worker_uploaded_is_known_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = f"memory://{uuid.uuid4().hex}"
    made = [tmp_path / "a.mp4", tmp_path / "a.mp4.json"]
    for path in made:
        path.write_text(path.name)
    files = RemoteFiles(place, f"{place}/.batch/a.published", overwrite=False)
    upload = storage.upload

    def killed(path: Path, target: str) -> None:
        if target.endswith(".json"):
            raise KeyboardInterrupt
        upload(path, target)

    with monkeypatch.context() as context:
        context.setattr(storage, "upload", killed)
        with pytest.raises(KeyboardInterrupt):
            files.publish(made)
    assert "a.mp4" in storage.names(place)
    files.check(made)
    files.publish(made)
    storage.write_small(f"{place}/.batch/a.published", b"{}")
    with pytest.raises(OutputUnwritable):
        files.check(made)
