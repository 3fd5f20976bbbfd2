"""The journal of a batch: nothing lost, nothing twice, two rows never one name; and who may hold a folder."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vidinv import config as configs
from vidinv.batch import lock as batch_lock
from vidinv.batch import storage
from vidinv.batch.driver import Driver
from vidinv.batch.journal import BatchJournal
from vidinv.batch.lock import HeldFolder
from vidinv.batch.summary import worst_exit_code
from vidinv.batch.task import BatchOptions, Outcome, Task, TaskOrder
from vidinv.errors import OutputUnwritable, UsageError

CONFIG = configs.load_run_config("fast", ["backend=tiny"])
ROOT = Path(__file__).resolve().parents[2]


def orders(count: int, **changes: object) -> list[TaskOrder]:
    return [TaskOrder(n, f"{n}.mp4", f"{n}.edited.mp4", CONFIG, **changes) for n in range(1, count + 1)]


def states(journal: BatchJournal) -> list[str]:
    return [clip.state for clip in journal.clips()]


def test_an_order_comes_back_from_the_journal_as_it_was(tmp_path: Path) -> None:
    journal = BatchJournal(tmp_path / "j")
    given = TaskOrder(
        1, "a.mp4", "a.edited.mp4", configs.with_edits(CONFIG, ["age+2"]), BatchOptions(report=True, min_ic=0.5), True
    )
    journal.enter([given])
    assert journal.take() == given and journal.take() is None


def test_a_killed_batch_goes_on_with_what_ran_and_keeps_what_is_done(tmp_path: Path) -> None:
    journal = BatchJournal(tmp_path / "j")
    journal.enter(orders(3))
    first = journal.take()
    assert first is not None
    journal.end(first, Outcome(0, figures={"frames": 5}), 3)
    journal.take()
    assert states(journal) == ["done", "running", "waiting"]
    again = BatchJournal(tmp_path / "j")  # as the next start finds it
    again.enter(orders(3))
    assert states(again) == ["done", "waiting", "waiting"]
    assert next(again.clips()).figures == {"frames": 5}


def test_two_rows_of_one_name_are_refused_and_nothing_is_entered(tmp_path: Path) -> None:
    journal = BatchJournal(tmp_path / "j")
    with pytest.raises(UsageError, match="rows 1 and 2 would both be written to x"):
        journal.enter(TaskOrder(n, f"{n}.mp4", "x", CONFIG) for n in (1, 2))
    assert states(journal) == []


def test_another_order_for_a_name_is_refused_unless_it_may_replace_it(tmp_path: Path) -> None:
    journal = BatchJournal(tmp_path / "j")
    journal.enter(orders(1))
    taken = journal.take()
    assert taken is not None
    journal.end(taken, Outcome(0), 3)
    other = TaskOrder(1, "1.mp4", "1.edited.mp4", configs.with_edits(CONFIG, ["age+2"]))
    with pytest.raises(UsageError, match="with other settings"):
        journal.enter([other])
    journal.enter([TaskOrder(1, "1.mp4", "1.edited.mp4", other.config, overwrite=True)])
    again = journal.take()
    assert again is not None and again.overwrite and again.config.edits == ("age+2",)


def test_rows_that_left_the_list_are_remembered_and_not_counted(tmp_path: Path) -> None:
    journal = BatchJournal(tmp_path / "j")
    journal.enter(orders(3))
    journal.enter(orders(2))
    assert journal.counts()["waiting"] == 2
    journal.enter(orders(4))
    assert journal.counts()["waiting"] == 4


@pytest.mark.parametrize(("code", "begun"), [(1, 3), (3, 3), (7, 3), (2, 1), (4, 1), (6, 1)])
def test_only_what_may_pass_is_tried_again_and_a_stated_number_of_times(tmp_path: Path, code: int, begun: int) -> None:
    journal = BatchJournal(tmp_path / "j")
    journal.enter(orders(1))
    for nth in range(1, begun + 1):
        taken = journal.take()
        assert taken is not None
        assert journal.end(taken, Outcome(code, "why"), 3) == (nth < begun)
    assert journal.take() is None
    (clip,) = journal.clips("failed")
    assert (clip.code, clip.error, clip.tries) == (code, "why", begun)
    journal.enter(orders(1))
    assert journal.take() is None
    journal.enter(orders(1), again=True)
    assert journal.take() is not None


@pytest.mark.parametrize(
    ("codes", "exit_code"), [([], 0), ([4], 4), ([6, 4, 3], 3), ([3, 2], 2), ([7, 2], 7), ([5, 7], 5), ([5, 1, 6], 1)]
)
def test_the_gravest_failure_is_the_batchs(codes: list[int], exit_code: int) -> None:
    assert worst_exit_code(codes) == exit_code


def test_a_journal_that_is_no_journal_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "j").write_text("not a database, but long enough to look like one " * 50)
    with pytest.raises(OutputUnwritable, match="journal"):
        BatchJournal(tmp_path / "j")


class Instant:
    """A pool whose tasks end as soon as they are begun."""

    def __init__(self) -> None:
        self.given: list[Task] = []

    @property
    def room(self) -> int:
        return 2 - self.busy

    @property
    def busy(self) -> int:
        return len(self.given)

    def submit(self, task: Task) -> None:
        self.given.append(task)

    def ended(self, seconds: float) -> list[tuple[Task, Outcome]]:
        done, self.given = self.given, []
        return [(task, Outcome(0, figures={"frames": 1})) for task in done]

    def close(self) -> None: ...


def peak() -> float:
    """Megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.slow
def test_memory_is_flat_over_ten_thousand_rows(tmp_path: Path) -> None:
    def through(count: int, place: Path) -> None:
        def every() -> Iterator[TaskOrder]:
            for n in range(1, count + 1):
                yield TaskOrder(n, f"{n}.mp4", f"{n}.edited.mp4", CONFIG)

        journal = BatchJournal(place)
        journal._open.execute("pragma synchronous = off")  # this is of memory, not of kills
        journal.enter(every())
        seen: list[int] = []
        heard = {"note": lambda line: None, "done": seen.append, "keep": lambda: None}
        Driver(journal, Instant(), str(tmp_path), HeldFolder(), tries=3, split=0.0, **heard).run()
        assert sum(seen) == count == journal.counts()["done"]
        journal.close()

    through(1000, tmp_path / "few")
    before = peak()
    through(10_000, tmp_path / "many")
    assert peak() - before < 4


HOLDER = """
    import sys, time
    from pathlib import Path
    from vidinv.batch import lock as batch_lock
    with batch_lock.{how}({place}) as held:
        print("held", flush=True)
        time.sleep(600)
"""


def holder(how: str, place: str) -> subprocess.Popen[str]:
    program = textwrap.dedent(HOLDER.format(how=how, place=place))
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_held_folder_is_refused_and_free_when_its_holder_is_killed(tmp_path: Path) -> None:
    other = holder("lock_folder", f"Path({str(tmp_path)!r})")
    try:
        with pytest.raises(OutputUnwritable, match=f"process {other.pid}"), batch_lock.lock_folder(tmp_path):
            pass
    finally:
        other.kill()
        other.wait()
    with batch_lock.lock_folder(tmp_path, patience=0.0):
        pass


def test_what_a_killed_batch_left_running_is_waited_for(tmp_path: Path) -> None:
    with batch_lock.lock_folder(tmp_path) as held:
        assert held.lock is not None
        worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1)"], pass_fds=(held.lock,))
    (tmp_path / batch_lock.LOCK).write_text("process 999999999 on nowhere\n")  # its batch is gone
    begin = time.monotonic()
    with batch_lock.lock_folder(tmp_path):
        assert worker.wait(timeout=0) == 0 and time.monotonic() - begin > 0.2


def test_a_lease_is_refused_while_its_holder_renews_it(tmp_path: Path) -> None:
    with batch_lock.lease_folder(str(tmp_path), seconds=1.0) as held:
        time.sleep(1.5)
        held.check()
        with (
            pytest.raises(OutputUnwritable, match=f"in use by another batch.*process {os.getpid()}"),
            batch_lock.lease_folder(str(tmp_path), seconds=1.0),
        ):
            pass
    assert not (tmp_path / batch_lock.LEASE).exists()


def test_a_lease_of_a_killed_holder_is_taken_over(tmp_path: Path) -> None:
    other = holder("lease_folder", f"{str(tmp_path)!r}, seconds=2.0")
    other.kill()
    other.wait()
    assert (tmp_path / batch_lock.LEASE).exists()
    with batch_lock.lease_folder(str(tmp_path), seconds=2.0) as held:
        held.check()


LEASES: dict[str, bytes] = {
    "empty": b"",
    "bytes": b"\xff\xfe\x00",
    "a list": b"[]",
    "null": b"null",
    "deep": b"[" * 4000,
    "year 3000": json.dumps({"me": "a", "who": "b", "until": 32503680000.0}).encode(),
    "a long period": json.dumps({"me": "a", "who": "b", "seconds": 1e12, "turn": 1}).encode(),
    "a negative period": json.dumps({"me": "a", "who": "b", "seconds": -1e12, "turn": 1}).encode(),
    "text": json.dumps({"me": "a", "who": "b", "seconds": "60", "turn": 1}).encode(),
    "not finite": b'{"me": "a", "who": "b", "seconds": NaN, "turn": 1}',
    "infinite": b'{"me": "a", "who": "b", "seconds": 1e999, "turn": 1}',
}


@pytest.mark.parametrize("content", LEASES.values(), ids=LEASES)
def test_a_lease_without_a_holder_blocks_nobody_for_long(tmp_path: Path, content: bytes) -> None:
    (tmp_path / batch_lock.LEASE).write_bytes(content)
    with batch_lock.lease_folder(str(tmp_path), seconds=0.2) as held:
        held.check()
    assert not (tmp_path / batch_lock.LEASE).exists()


def test_a_holder_whose_clock_is_wrong_is_seen_by_its_renewals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with batch_lock.lease_folder(str(tmp_path), seconds=0.6) as held:
        for shift in (-1e9, 1e9):
            now = time.time() + shift
            with monkeypatch.context() as patched:
                patched.setattr(time, "time", lambda now=now: now)
                with (
                    pytest.raises(OutputUnwritable, match="in use"),
                    batch_lock.lease_folder(str(tmp_path), seconds=0.6),
                ):
                    pass
        held.check()


def make_link(path: Path) -> None:
    (path.parent / "mine").write_text("mine")
    path.symlink_to(path.parent / "mine")


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, make_link], ids=["pipe", "folder", "link"])
def test_what_is_not_a_lock_file_is_refused_and_left_alone(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / batch_lock.LOCK)
    with pytest.raises(OutputUnwritable, match=batch_lock.LOCK), batch_lock.lock_folder(tmp_path):
        pass
    assert not (tmp_path / "mine").exists() or (tmp_path / "mine").read_text() == "mine"
    if make is not make_link:
        make(tmp_path / batch_lock.LEASE)
        with pytest.raises(OutputUnwritable, match="remove it"), batch_lock.lease_folder(str(tmp_path), seconds=0.2):
            pass


@pytest.mark.parametrize(
    "content", [b"", b"process ", b"process \xff\xfe", b"process -1 on x", b"process 99999999999999 on x"]
)
def test_a_lock_file_of_a_batch_is_taken_whatever_follows(tmp_path: Path, content: bytes) -> None:
    (tmp_path / batch_lock.LOCK).write_bytes(content)
    with batch_lock.lock_folder(tmp_path):
        with pytest.raises(OutputUnwritable, match="in use"), batch_lock.lock_folder(tmp_path, patience=0.0):
            pass
        (tmp_path / batch_lock.LOCK).write_bytes(content)  # somebody else changes it meanwhile
        with pytest.raises(OutputUnwritable, match="in use"), batch_lock.lock_folder(tmp_path, patience=0.0):
            pass


def test_a_holder_that_finds_another_name_stops(tmp_path: Path) -> None:
    with batch_lock.lease_folder(str(tmp_path), seconds=0.6) as held:
        other = {"me": "another", "who": "somebody", "seconds": 60.0, "turn": 0}
        storage.write_small(str(tmp_path / batch_lock.LEASE), json.dumps(other).encode())
        assert held.lost is not None and held.lost.wait(5)
        with pytest.raises(OutputUnwritable, match="taken over the folder"):
            held.check()
    assert storage.read_small(str(tmp_path / batch_lock.LEASE)) is not None  # it is the other's


def test_network_file_systems_are_told_by_their_mounts(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/a / ext4 rw 0 0\nserver:/x /shared nfs4 rw 0 0\n/dev/b /shared/local\\040disk xfs rw 0 0\n")
    asked = {"/data/x": False, "/shared/x": True, "/sharedness": False, "/shared/local disk/x": False}
    assert {place: storage.is_network(Path(place), str(mounts)) for place in asked} == asked
