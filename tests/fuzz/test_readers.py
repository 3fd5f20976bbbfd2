"""No input makes a reader end otherwise than documented, take more than 1 GB, or take more than 10 seconds."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.stress import fuzz_readers, measured
from scripts.stress.fuzz_readers import MOST_MEMORY, MOST_SECONDS, WAITING
from tests.fuzz.harness import READERS, harness_of

EXAMPLES = {"report_files": 12}  # each draws two pages
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("reader", READERS)
def test_every_input_is_read_or_refused_within_bounds(reader: str) -> None:
    harness = harness_of(reader)
    harness.one(harness.make(Random(0)))  # loads what is loaded on first use

    @settings(
        max_examples=EXAMPLES.get(reader, 60),
        derandomize=True,
        database=None,
        deadline=timedelta(seconds=WAITING * MOST_SECONDS),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=True).map(harness.make))
    def within_bounds(data: bytes) -> None:
        before, begin = measured.reset_peak(), time.process_time()
        harness.one(data)
        assert time.process_time() - begin < MOST_SECONDS
        assert measured.peak() - before < MOST_MEMORY

    within_bounds()


class Faulty:
    """A reader that fails for one input in every way that the script must notice."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def make(self, chance: Random) -> bytes:
        return chance.choice([b"good", b"good", b"bad"])

    def one(self, data: bytes) -> None:
        if data == b"bad":
            exec(self.fault, {})


FAULTS = {
    "an exception": ("raise ValueError('not documented')", "ValueError: not documented"),
    "a crash": ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
    "memory": ("bytearray(bytes([1]) * (1200 << 20))", "it took"),
    "an endless loop": ("while True: pass", "SIGPROF"),
    "a wait": ("import time; time.sleep(1000)", "SIGALRM"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_script_notices_and_keeps(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    code, words = FAULTS[fault]
    monkeypatch.setattr(fuzz_readers, "harness_of", lambda reader: Faulty(code))
    if fault in ("an endless loop", "a wait"):
        monkeypatch.setattr(fuzz_readers, "MOST_SECONDS", 1)
    bad = next(n for n in range(100) if Faulty(code).make(Random(f"0 {n}")) == b"bad")
    with capfd.disabled():  # so that a fork writes to the standard error that the script reads
        found = fuzz_readers.feed("faulty", 60.0, range(bad + 1), 0, tmp_path)
    assert found.failures == (bad,) and found.inputs == bad + 1
    assert (tmp_path / f"faulty-{bad}.bin").read_bytes() == b"bad"
    assert words in (tmp_path / f"faulty-{bad}.txt").read_text()


def test_the_script_prints_a_row_for_a_reader(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scripts.stress.fuzz_readers", "--only", "name_templates", "--inputs", "300"]
    command += ["--keep", str(tmp_path / "kept"), "--json", str(tmp_path / "found.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "found.json").read_text())
    assert row["inputs"] == 300 and row["failures"] == [] and "| name_templates | 300 |" in done.stdout
    assert not (tmp_path / "kept").exists()
