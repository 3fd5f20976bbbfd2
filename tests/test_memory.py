"""Too little memory is called that, with what lowers the need, and no file is called damaged for it."""

from __future__ import annotations

import errno
import resource
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vidinv.errors import InputUnreadable, OutputUnwritable, UsageError, WeightsUnavailable
from vidinv.exit_codes import exit_code_and_message

TOO_MUCH = 1 << 62  # bytes


def raised(kind: str) -> Exception:
    """The error of a library that was asked for more memory than there is."""
    try:
        if kind == "numpy":
            np.empty(TOO_MUCH // 8)
        elif kind == "torch":
            torch.empty(TOO_MUCH // 8, dtype=torch.uint8)
        elif kind == "python":
            bytes(TOO_MUCH)
    except (MemoryError, RuntimeError, cv2.error) as error:
        return error
    raise AssertionError(kind)


@pytest.mark.parametrize("kind", ["numpy", "torch", "python"])
def test_every_library_that_lacks_memory_is_one_kind_of_error(kind: str) -> None:
    error = raised(kind)
    error.__notes__ = ["in stage synthesize near frame 7"]
    code, line = exit_code_and_message(error)
    assert code == 1 and "out of memory" in line and "--set batch=1" in line and "frame 7" in line


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("can't start new thread"),
        ImportError("libx265.so: failed to map segment from shared object"),
        RuntimeError("std::bad_alloc"),
        cv2.error("OpenCV(4) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 100 bytes"),
    ],
    ids=str,
)
def test_a_lack_of_memory_behind_an_unreadable_file_is_not_the_files_fault(error: Exception) -> None:
    for made in (error, InputUnreadable("in.png is unreadable"), OutputUnwritable("out.mp4 cannot be written")):
        if made is not error:
            made.__cause__ = error
        code, line = exit_code_and_message(made)
        assert code == 1 and line.startswith("out of memory")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputUnreadable("a file is damaged"), 3),
        (UsageError("an option is unknown"), 2),
        (WeightsUnavailable("a checkpoint declares too much"), 5),
        (RuntimeError("shapes differ"), 1),
        (OSError(errno.ENOSPC, "no space"), 7),
    ],
    ids=str,
)
def test_other_failures_keep_their_own_line(error: Exception, code: int) -> None:
    found, line = exit_code_and_message(error)
    assert found == code and "out of memory" not in line


def limited(megabytes: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vidinv", *map(str, arguments)]
    limit = megabytes << 20
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )


@pytest.mark.parametrize("command", ["run", "edit", "inspect", "evaluate"])
@pytest.mark.parametrize("megabytes", [600, 1400])
def test_a_process_that_may_not_load_the_networks_says_so_at_once(tmp_path: Path, command: str, megabytes: int) -> None:
    ended = limited(megabytes, command, tmp_path / "in.mp4", "--edit", "age+2", "-o", tmp_path / "out.mp4")
    assert ended.returncode == 1 and not list(tmp_path.iterdir())
    assert ended.stderr.startswith("error: out of memory") and "--set batch=1" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert limited(megabytes, command, "--help").returncode == 0
