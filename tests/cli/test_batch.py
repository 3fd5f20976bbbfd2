"""`vidinv batch`: hostile clips among good ones, each output that of a run alone, and what a second start does."""

from __future__ import annotations

import hashlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests.helpers import ffprobe
from tests.helpers.runs import TINY, left_behind
from vidinv.batch import lock as batch_lock
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
EDIT = ["--edit", "age+3", "--set", "segment_seconds=0.2"]


@dataclass(frozen=True)
class Done:
    """A batch that ended: what it was given, where its outputs lie, its exit code and its JSON."""

    source: Path
    output: Path
    code: int
    found: dict[str, Any]


def hostile(folder: Path) -> dict[str, int]:
    """Five clips that cannot be done, and the exit code of each."""
    whole = make_clip(folder.parent / "whole.mp4", frames=30)
    (folder / "h-text.mp4").write_text("this is no video")
    make_clip(folder / "h-dark.mp4", frames=6, image=lambda index: np.zeros((64, 96, 3), np.uint8))
    (folder / "h-truncated.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    giant = b"\0\0\0\x14ftypisom\0\0\0\0isom" + b"\0\0\0\x01moov" + (1 << 62).to_bytes(8, "big") + b"\0" * 64
    (folder / "h-giant.mp4").write_bytes(giant)
    (folder / "h-unreadable.mp4").symlink_to(folder / "not there")
    return {"h-text": 3, "h-dark": 4, "h-truncated": 3, "h-giant": 3, "h-unreadable": 3}


def batch(source: Path, output: Path, *options: object) -> Done:
    told = output.parent / f"{output.name}.json"
    told.unlink(missing_ok=True)
    given = ["batch", source, "-o", output, *TINY, "--progress", "none", "--json", told, *options]
    code = main([str(each) for each in given])
    return Done(source, output, code, json.loads(told.read_text()) if told.exists() else {})


def frames(path: Path) -> tuple[list[float], str]:
    """The time of every frame, and a digest of their samples, as ffmpeg has them."""
    return ffprobe.frame_times(path), hashlib.sha256(ffprobe.samples(path, "yuv420p").tobytes()).hexdigest()


def alone(source: Path, output: Path, *options: object) -> Path:
    assert main(["run", str(source), "-o", str(output), *TINY, *map(str, options), "--progress", "none"]) == 0
    return output


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    place = tmp_path_factory.mktemp("batch")
    (place / "in" / "below").mkdir(parents=True)
    for n, cut in enumerate((None, 5, None)):
        make_clip(place / "in" / f"{n}.mp4", frames=10 + n, cut_at=cut)
    make_clip(place / "in" / "below" / "0.mkv", frames=8)
    hostile(place / "in")
    return batch(place / "in", place / "out", *EDIT, "--workers", 2, "--report", "--retries", 1)


GOOD = {"0.edited.mp4": "0.mp4", "1.edited.mp4": "1.mp4", "2.edited.mp4": "2.mp4", "below/0.edited.mkv": "below/0.mkv"}


@pytest.mark.slow
def test_hostile_clips_fail_by_themselves_and_the_gravest_is_the_exit_code(done: Done, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    codes = hostile(tmp_path / "in")
    found = {Path(clip["source"]).stem: clip for clip in done.found["clips"] if clip["state"] == "failed"}
    assert {name: clip["code"] for name, clip in found.items()} == codes
    assert {name: clip["tries"] for name, clip in found.items()} == {n: 2 if c == 3 else 1 for n, c in codes.items()}
    assert all(clip["error"] and "\n" not in clip["error"] for clip in found.values())
    assert done.code == done.found["exit_code"] == 3


def test_failures_are_told_where_no_bar_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "talk.mp4").write_text("this is no video")
    assert batch(tmp_path / "in", tmp_path / "out", *EDIT, "--retries", 0).code == 3
    first, last = capsys.readouterr().err.strip().splitlines()
    assert first.startswith("failed: row 1, ") and "talk.mp4" in first and first.endswith("(exit code 3)")
    assert last.startswith("0 of 1 clips done, 1 failed; retry them with --retry-failed")


def test_clips_with_warnings_are_counted_on_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    make_clip(tmp_path / "in" / "talk.mp4", frames=4)
    options = ["--name", "{stem}.webm", "--retries", 0]  # which cannot hold the clip's sound and times as they are
    assert batch(tmp_path / "in", tmp_path / "out", *EDIT, *options).code == 0
    assert "warning: 1 clip has warnings; the reports" in capsys.readouterr().err


@pytest.mark.parametrize("name", GOOD)
def test_each_output_is_that_of_a_run_alone(done: Done, tmp_path: Path, name: str) -> None:
    whole = alone(done.source / GOOD[name], tmp_path / Path(name).name, *EDIT)
    made = done.output / name
    assert frames(made) == frames(whole)
    reports = [json.loads(path.with_name(f"{path.name}.json").read_text()) for path in (made, whole)]
    for report in reports:
        report.pop("timing"), report.pop("command"), report["output"].pop("sha256")  # Matroska files have a number each
    assert reports[0] == reports[1]


def test_nothing_is_left_beside_the_outputs(done: Done) -> None:
    own = {"batch.sqlite", "batch.lock", "batch.log", "batch.html", "below"}
    outputs = {f"{n}.edited.mp4{kind}" for n in range(3) for kind in ("", ".json", ".report.html")}
    assert not left_behind(done.output, but=own | outputs)
    kinds = ("", ".json", ".report.html")
    assert not left_behind(done.output / "below", but={f"0.edited.mkv{kind}" for kind in kinds})


def test_the_summary_has_a_line_for_every_clip_and_links_what_is_there(done: Done) -> None:
    totals = done.found["totals"]
    assert (totals["clips"], totals["done"], totals["failed"], totals["frames"]) == (9, 4, 5, 10 + 11 + 12 + 8)
    page = (done.output / "batch.html").read_text(encoding="utf-8")
    for clip in done.found["clips"]:
        assert f'<th scope="row">{clip["name"]}</th>' in page
    for name in GOOD:
        figures = next(clip["figures"] for clip in done.found["clips"] if clip["name"] == name)
        report = json.loads((done.output / f"{name}.json").read_text())
        assert figures["arcface"] == report["identity"]["arcface"]["edit_mean"]
        for kind in ("", ".json", ".report.html"):
            assert f'href="{name}{kind}"' in page and (done.output / f"{name}{kind}").exists()
    assert "http" not in page.replace("http-equiv", "")


def moments(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*.edited.*")}


def test_the_same_command_again_does_nothing_twice(done: Done) -> None:
    before = moments(done.output)
    again = batch(done.source, done.output, *EDIT, "--workers", 2, "--report", "--retries", 1)
    assert again.code == 3 and moments(done.output) == before
    assert [c["state"] for c in again.found["clips"]] == [c["state"] for c in done.found["clips"]]


def test_a_clip_that_was_finished_when_its_batch_was_killed_is_known_again(done: Done) -> None:
    journal = sqlite3.connect(done.output / "batch.sqlite")
    with journal:  # as it is when the kill comes before the note
        journal.execute("update clips set state = 'running', tries = 0, figures = '{}' where name = '1.edited.mp4'")
    journal.close()
    before = moments(done.output)
    again = batch(done.source, done.output, *EDIT, "--workers", 2, "--report", "--retries", 1)
    assert moments(done.output) == before
    clips = [next(c for c in each["clips"] if c["name"] == "1.edited.mp4") for each in (done.found, again.found)]
    assert clips[0]["figures"] == clips[1]["figures"] and clips[1]["state"] == "done"


def test_a_second_start_is_refused_while_the_first_works(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    with batch_lock.lock_folder(done.output):
        assert batch(done.source, done.output, *EDIT).code == 7
    assert "another batch" in capsys.readouterr().err


@pytest.mark.slow
def test_parts_give_the_frames_of_the_whole(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    source = make_clip(tmp_path / "in" / "a.mp4", frames=24, cut_at=9)
    made = batch(tmp_path / "in", tmp_path / "out", *EDIT, "--split", 0.1, "--workers", 2, "--preview")
    assert made.code == 0 and "a.edited.mp4: 2 parts" in (made.output / "batch.log").read_text()
    whole = alone(source, tmp_path / "a.edited.mp4", *EDIT, "--preview")
    for name in ("a.edited.mp4", "a.edited.mp4.preview.mp4"):
        assert frames(made.output / name) == frames(tmp_path / name)
    reports = [json.loads((folder / "a.edited.mp4.json").read_text()) for folder in (made.output, tmp_path)]
    assert reports[0]["identity"] == reports[1]["identity"] and whole.exists()
    own = {"batch.sqlite", "batch.lock", "batch.log", "batch.html"}
    assert not left_behind(made.output, but=own | {f"a.edited.mp4{k}" for k in ("", ".json", ".preview.mp4")})


@pytest.mark.slow
def test_rows_of_a_list_have_their_own_edits_options_and_names(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", frames=8)
    (tmp_path / "list.csv").write_text("source,edits,name,blend\na.mp4,smile+2,s.mkv,replace\na.mp4,,,\n")
    made = batch(tmp_path / "list.csv", tmp_path / "out", "--edit", "age+3", "--name", "{row}-{stem}{suffix}")
    assert made.code == 0
    both = alone(tmp_path / "a.mp4", tmp_path / "s.mkv", "--edit", "age+3", "--edit", "smile+2", "--blend", "replace")
    assert frames(made.output / "s.mkv") == frames(both)
    assert frames(made.output / "2-a.mp4") == frames(alone(tmp_path / "a.mp4", tmp_path / "o.mp4", "--edit", "age+3"))


@pytest.mark.slow
def test_an_interrupted_batch_ends_with_130_and_its_workers_with_it(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    make_clip(tmp_path / "in" / "a.mp4", frames=24)
    command = ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *TINY, *EDIT, "--progress", "none"]
    running = subprocess.Popen([sys.executable, "-m", "vidinv", *command], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not (workers := psutil.Process(running.pid).children(recursive=True)):
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130 and "interrupted" in said
    until = time.monotonic() + 60  # a worker that is still loading its libraries hears of it when it has
    while any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert main(command) == 0 and (tmp_path / "out" / "a.edited.mp4").exists()


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        (["a.mp4,age+2", "b.mp4,agee+2"], [], "row 2 (b.mp4)"),
        (["a.mp4,age+2", "x/a.mp4,age+2"], [], "rows 1 and 2 would both be written to a.edited.mp4"),
        (["a.mp4,age+2"], ["--name", "{who}"], "{who}"),
        (["a.mp4,age+2"], ["--cluster", "slurm"], "--cluster"),
        (["a.mp4,age+2"], ["--set", "crops=3"], "row 1"),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: Sequence[str], options: list[str], words: str
) -> None:
    (tmp_path / "list.csv").write_text("\n".join(["source,edits", *(f"{row}" for row in rows)]) + "\n")
    make_clip(tmp_path / "a.mp4", frames=3)
    assert batch(tmp_path / "list.csv", tmp_path / "out", *options).code == 2
    assert words in capsys.readouterr().err.replace(f"{tmp_path}/", "")
    assert not list((tmp_path / "out").glob("*.mp4*"))


def test_outputs_among_the_clips_are_refused(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", frames=3)
    assert batch(tmp_path, tmp_path).code == 2


def test_a_dry_run_says_what_it_would_cost_and_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    make_clip(tmp_path / "in" / "a.mp4", frames=25)
    assert batch(tmp_path / "in", tmp_path / "out", *EDIT, "--dry-run").code == 0
    (tmp_path / "in" / "b.mp4").write_text("no video")
    made = batch(tmp_path / "in", tmp_path / "out", *EDIT, "--dry-run")
    assert made.code == 3 and not (tmp_path / "out").exists()
    first, second = made.found["clips"]
    assert first["frames"] == 25 and first["seconds"] > 0 and second["code"] == 3
    said = capsys.readouterr().out
    assert "2 clips, 25 frames" in said and "b.mp4 is not a readable video" in said
