"""Locks end with their holders, figures are the system's own, and no module that only POSIX has is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.runs import TINY, frames_of
from vidinv import process
from vidinv.bench.synthetic_clip import make_clip

ROOT = Path(__file__).resolve().parents[1]
WITHOUT_POSIX = """
import sys
sys.modules |= dict.fromkeys(("fcntl", "resource", "termios", "pwd", "grp"))  # an import of one fails
from vidinv.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def without_posix(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_POSIX, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_the_command_line_needs_no_module_of_posix_alone() -> None:
    done = without_posix("--help")
    assert done.returncode == 0 and "vidinv run" in done.stdout, done.stderr


def test_a_run_needs_no_module_of_posix_alone_and_warns_that_it_holds_no_lock(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=6)
    done = without_posix("run", clip, "--edit", "age+3", "-o", tmp_path / "out.mp4", *TINY)
    assert done.returncode == 0, done.stderr
    assert "this disk does not support file locks" in done.stderr
    assert len(frames_of(tmp_path / "out.mp4")) == 6


def test_a_lock_is_refused_to_others_and_ends_with_the_last_process_that_holds_its_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w") as one, path.open("w") as other:
        assert process.lock_descriptor(one.fileno())
        assert not process.lock_descriptor(other.fileno())
        heir = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(one.fileno(),))
        one.close()
        assert not process.lock_descriptor(other.fileno())
        heir.kill()
        heir.wait()
        assert process.lock_descriptor(other.fileno())


def test_the_figures_of_the_process_are_those_of_the_system() -> None:
    resource = pytest.importorskip("resource")
    before = process.cpu_seconds()
    sum(number * number for number in range(300_000))
    used = resource.getrusage(resource.RUSAGE_SELF)
    assert before < process.cpu_seconds()
    assert abs(process.cpu_seconds() - used.ru_utime - used.ru_stime) < 0.5
    assert process.peak_memory_mb() > 10 and process.cores() >= 1
