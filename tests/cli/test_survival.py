"""What happens to a run: Ctrl-C, a full disk, a source that changes, a second run, a damaged job folder."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from vidinv.stages.reencode import SegmentRecord

from tests.helpers.clips import make_clip
from tests.helpers.runs import TINY, frames_of, left_behind
from vidinv import fileio
from vidinv.cli.main import main
from vidinv.jobs.job_folder import JobFolder
from vidinv.jobs.journal import Journal
from vidinv.media import writer
from vidinv.report import identity_evidence, sidecar

OPTIONS = ["--edit", "age+3", "--codec", "lossless", "--set", "segment_seconds=0.2", "--set", "threads=1", *TINY]


def command(source: Path, output: Path) -> list[str]:
    return ["run", str(source), "-o", str(output), *OPTIONS]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", frames=15, cut_at=7)


def assert_same_frames(one: Path, other: Path) -> None:
    for (pts, old), (same, new) in zip(frames_of(one), frames_of(other), strict=True):
        assert pts == same and all(np.array_equal(a, b) for a, b in zip(old, new, strict=True))


LONG_CALL = """
import hashlib, sys
from vidinv.backends import tiny
from vidinv.cli.main import main

def parse(images, size):  # one call of many minutes into a library, which Python cannot break off
    print("called", file=sys.stderr, flush=True)
    return hashlib.pbkdf2_hmac("sha256", b"a", b"b", 2**31 - 1)

tiny.parse = parse
sys.exit(main(sys.argv[1:]))
"""


def test_ctrl_c_ends_a_run_within_a_long_call_and_the_run_goes_on_when_it_is_repeated(clip: Path) -> None:
    output = clip.with_name("out.mp4")
    run = subprocess.Popen([sys.executable, "-c", LONG_CALL, *command(clip, output)], stderr=subprocess.PIPE, text=True)
    assert run.stderr is not None
    while run.stderr.readline() != "called\n":
        assert run.poll() is None
    run.send_signal(signal.SIGINT)
    said = run.communicate(timeout=60)[1]  # the call itself takes longer
    assert run.returncode == 130
    assert said.startswith("error: interrupted") and said.count("\n") == 1
    assert left_behind(clip.parent, but={"in.mp4"}) == {"out.mp4.vidinv"}
    assert main(command(clip, output)) == 0
    assert not left_behind(clip.parent, but={"in.mp4", "out.mp4", "out.mp4.json"})


def test_ctrl_c_between_two_calls_says_so_too(clip: Path) -> None:
    output = clip.with_name("out.mp4")
    calls = "import os, signal, sys; from vidinv.jobs.journal import Journal; from vidinv.cli.main import main\n"
    calls += "Journal.append = lambda *given: os.kill(os.getpid(), signal.SIGINT)\nsys.exit(main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", calls, *command(clip, output)], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr.startswith("error: interrupted") and done.stderr.count("\n") == 1
    assert left_behind(clip.parent, but={"in.mp4"}) == {"out.mp4.vidinv"}


def test_a_disk_that_is_full_exits_7_and_the_run_goes_on_when_there_is_room(clip: Path) -> None:
    whole, output = clip.with_name("whole.mp4"), clip.with_name("out.mp4")
    assert main(command(clip, whole)) == 0
    limit = whole.stat().st_size // 2  # which the segments are below, and the output is not
    done = subprocess.run(
        [sys.executable, "-m", "vidinv", *command(clip, output)],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 7 and done.stderr.count("\n") == 1, done.stderr
    assert not output.exists() and (clip.parent / "out.mp4.vidinv" / "journal.jsonl").exists()
    assert main(command(clip, output)) == 0
    assert_same_frames(whole, output)
    assert not left_behind(clip.parent, but={f"{n}.mp4{s}" for n in ("whole", "out", "in") for s in ("", ".json")})


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("place", "name", "nth"),
    [
        (fileio, "write_sealed", 1),  # the job's own record
        (fileio, "write_sealed", 2),  # what the first pass saw
        (fileio, "write_sealed", 4),  # the state of a refinement
        (Journal, "append", 2),
        (writer.SegmentWriter, "close", 2),
        (identity_evidence, "save_evidence", 1),
        (JobFolder, "publish", 1),
        (sidecar, "write_report", 1),
    ],
    ids=["job", "shard", "trace", "journal", "segment", "evidence", "output", "report"],
)
def test_wherever_the_disk_is_full_the_run_exits_7_and_goes_on(
    clip: Path,
    place: Any,
    name: str,
    nth: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output, plain, calls = clip.with_name("out.mp4"), getattr(place, name), 0

    def full(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth:
            raise FULL
        return plain(*given, **named)

    monkeypatch.setattr(place, name, full)
    assert main(command(clip, output)) == 7
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and os.strerror(errno.ENOSPC) in said
    assert main(command(clip, output)) == 0
    assert len(frames_of(output)) == 15
    assert not left_behind(clip.parent, but={"in.mp4", "out.mp4", "out.mp4.json"})


def deleted(path: Path) -> None:
    path.unlink()


def appended(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"more")


@pytest.mark.parametrize("change", [deleted, appended])
@pytest.mark.parametrize("when", ["analyse", "render", "assemble"])
def test_a_source_that_changes_in_the_middle_is_noticed_and_nothing_is_put_in_place(
    clip: Path,
    change: Callable[[Path], None],
    when: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output, whole = clip.with_name("out.mp4"), clip.read_bytes()
    place, name, nth = {
        "analyse": (fileio, "write_sealed", 2),
        "render": (Journal, "append", 2),
        "assemble": (JobFolder, "place", 1),
    }[when]
    plain, calls = getattr(place, name), 0

    def changed(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth:
            change(clip)
        return plain(*given)

    monkeypatch.setattr(place, name, changed)
    assert main(command(clip, output)) == 3
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "in.mp4" in said
    assert not output.exists() and not left_behind(clip.parent, but={"in.mp4", "out.mp4.vidinv"})
    if change is appended and when != "analyse":
        assert main(command(clip, output)) == 2  # another source
    clip.write_bytes(whole)
    assert main(command(clip, output)) == 0
    assert len(frames_of(output)) == 15


def test_a_second_run_on_one_output_exits_7(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = clip.with_name("out.mp4")
    with JobFolder(output):
        assert main(command(clip, output)) == 7
    said = capsys.readouterr().err
    assert "another run" in said and said.count("\n") == 1 and not output.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_exits_7(clip: Path) -> None:
    folder = clip.parent / "locked"
    folder.mkdir(mode=0o500)
    assert main(command(clip, folder / "out.mp4")) == 7


@pytest.mark.parametrize("kind", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"])
def test_what_is_no_file_exits_3_and_is_not_waited_for(tmp_path: Path, kind: Callable[[Path], None]) -> None:
    kind(tmp_path / "in.mp4")
    assert main(command(tmp_path / "in.mp4", tmp_path / "out.mp4")) == 3


def test_a_segment_that_is_damaged_while_the_job_runs_is_not_left_out(
    clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output, plain = clip.with_name("out.mp4"), Journal.append

    def damage(journal: Journal, record: SegmentRecord) -> None:
        plain(journal, record)
        if record.segment == 2:
            (journal.folder / "segment-00001.segment").write_bytes(b"noise")

    monkeypatch.setattr(Journal, "append", damage)
    assert main(command(clip, output)) == 7
    assert "segment 1" in capsys.readouterr().err and not output.exists()
    monkeypatch.undo()
    assert main(command(clip, output)) == 0
    assert len(frames_of(output)) == 15


def test_a_killed_assembly_leaves_nothing_beside_the_output(clip: Path) -> None:
    output = clip.with_name("out.mp4")
    killing = "import os, signal, sys; from vidinv.jobs.job_folder import JobFolder; from vidinv.cli.main import main\n"
    killing += "JobFolder.publish = lambda *given, **options: os.kill(os.getpid(), signal.SIGKILL)\nmain(sys.argv[1:])"
    assert subprocess.run([sys.executable, "-c", killing, *command(clip, output)]).returncode == -signal.SIGKILL
    assert left_behind(clip.parent, but={"in.mp4"}) == {"out.mp4.vidinv"}
    assert main(command(clip, output)) == 0


def test_a_run_that_is_killed_when_its_output_is_in_place_is_repeated_without_overwrite(clip: Path) -> None:
    output = clip.with_name("out.mp4")
    killing = "import os, signal, sys; from vidinv.report import sidecar; from vidinv.cli.main import main\n"
    killing += "sidecar.write_report = lambda *given: os.kill(os.getpid(), signal.SIGKILL)\nmain(sys.argv[1:])"
    assert subprocess.run([sys.executable, "-c", killing, *command(clip, output)]).returncode == -signal.SIGKILL
    assert left_behind(clip.parent, but={"in.mp4"}) == {"out.mp4.vidinv", "out.mp4"}
    assert main(command(clip, output)) == 0
    assert not left_behind(clip.parent, but={"in.mp4", "out.mp4", "out.mp4.json"})
    assert main(command(clip, output)) == 7  # now it is finished, and anybody's
