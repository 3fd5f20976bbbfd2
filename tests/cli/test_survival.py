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

import pytest

from tests.helpers.file_operations import before_change, full_disk, has_content
from tests.helpers.runs import TINY, frames_of, left_behind, same_frames
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main
from vidinv.jobs.job_folder import JobFolder

ANYWHERE = "lambda path: True"
ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ["--edit", "age+3", "--codec", "lossless", "--set", "segment_seconds=0.2", "--set", "threads=1", *TINY]


def command(source: Path, output: Path) -> list[str]:
    return ["run", str(source), "-o", str(output), *OPTIONS]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", frames=15, cut_at=7)


def anything(path: Path) -> bool:
    return True


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


def sent_to_itself(name: str, at: str, when: str = "is_outside_job") -> str:
    """A program that is `vidinv`, and is sent the signal `name` just before it changes a file named like `at`."""
    return (
        "import os, signal, sys; from tests.helpers.file_operations import before_change, is_outside_job; "
        "from vidinv.cli.main import main\n"
        f"with before_change({at!r}, lambda: os.kill(os.getpid(), signal.{name}), {when}):\n"
        "    sys.exit(main(sys.argv[1:]))"
    )


@pytest.mark.slow
def test_ctrl_c_between_two_calls_says_so_too(clip: Path) -> None:
    output = clip.with_name("out.mp4")
    program = [sys.executable, "-c", sent_to_itself("SIGINT", "journal.jsonl", ANYWHERE), *command(clip, output)]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr.startswith("error: interrupted") and done.stderr.count("\n") == 1
    assert left_behind(clip.parent, but={"in.mp4"}) == {"out.mp4.vidinv"}


@pytest.mark.slow
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
    assert same_frames(whole, output)
    assert not left_behind(clip.parent, but={f"{n}.mp4{s}" for n in ("whole", "out", "in") for s in ("", ".json")})


@pytest.mark.parametrize(
    ("name", "when"),
    [
        ("*job.json*", anything),
        ("*analysis-*", anything),
        ("*traces-*", anything),
        ("journal.jsonl", has_content),  # one segment is in it
        ("*segment-00001.segment*", anything),
        ("*evidence-*", anything),
        ("*published*", anything),
        ("*out.mp4.json*", anything),
    ],
    ids=["job", "shard", "trace", "journal", "segment", "evidence", "output", "report"],
)
def test_wherever_the_disk_is_full_the_run_exits_7_and_goes_on(
    clip: Path, name: str, when: Callable[[Path], bool], capsys: pytest.CaptureFixture[str]
) -> None:
    output = clip.with_name("out.mp4")
    with full_disk(name, when):
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


MOMENTS = {  # the file that is written when the source changes, and whether something must be in it
    "analyse": ("*analysis-*", anything),
    "render": ("journal.jsonl", has_content),
    "assemble": ("made", anything),
}


@pytest.mark.parametrize("change", [deleted, appended])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_source_that_changes_in_the_middle_is_noticed_and_nothing_is_put_in_place(
    clip: Path, change: Callable[[Path], None], moment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output, whole = clip.with_name("out.mp4"), clip.read_bytes()
    name, when = MOMENTS[moment]
    with before_change(name, lambda: change(clip), when):
        assert main(command(clip, output)) == 3
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "in.mp4" in said
    assert not output.exists() and not left_behind(clip.parent, but={"in.mp4", "out.mp4.vidinv"})
    if change is appended and moment != "analyse":
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
    clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = clip.with_name("out.mp4")
    first = clip.with_name("out.mp4.vidinv") / "segment-00001.segment"
    with before_change("*evidence-00002*", lambda: first.write_bytes(b"noise")):
        assert main(command(clip, output)) == 7
    assert "segment 1" in capsys.readouterr().err and not output.exists()
    assert main(command(clip, output)) == 0
    assert len(frames_of(output)) == 15


def killed(source: Path, output: Path, at: str, when: str = "is_outside_job") -> None:
    """Run the command; it is killed just before it changes a file named like `at`."""
    program = [sys.executable, "-c", sent_to_itself("SIGKILL", at, when), *command(source, output)]
    assert subprocess.run(program, cwd=ROOT).returncode == -signal.SIGKILL


@pytest.mark.slow
def test_a_killed_assembly_leaves_nothing_beside_the_output(clip: Path) -> None:
    output = clip.with_name("out.mp4")
    killed(clip, output, "*published*", ANYWHERE)
    assert left_behind(clip.parent, but={"in.mp4"}) == {"out.mp4.vidinv"}
    assert main(command(clip, output)) == 0


@pytest.mark.slow
def test_a_run_that_is_killed_when_its_output_is_in_place_is_repeated_without_overwrite(clip: Path) -> None:
    output = clip.with_name("out.mp4")
    killed(clip, output, "out.mp4.json")
    assert left_behind(clip.parent, but={"in.mp4"}) == {"out.mp4.vidinv", "out.mp4"}
    assert main(command(clip, output)) == 0
    assert not left_behind(clip.parent, but={"in.mp4", "out.mp4", "out.mp4.json"})
    assert main(command(clip, output)) == 7  # now it is finished, and anybody's
