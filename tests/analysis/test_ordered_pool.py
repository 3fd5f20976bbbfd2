"""Work of a few frames at once, taken in order."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future

import pytest

from vidinv.analysis import ordered_pool


def work(number: int) -> tuple[int, str]:
    time.sleep(0.02 if number % 2 == 0 else 0.0)  # the later of two is done first
    return number, threading.current_thread().name


def run(count: int, frames: int = 7) -> tuple[list[int], set[str]]:
    kept, threads = [], set()

    def keep(entry: int, found: Future[tuple[int, str]] | None) -> None:
        kept.append(entry)
        if found is not None:
            assert found.result()[0] == entry
            threads.add(found.result()[1])

    with ordered_pool.OrderedPool(keep, count) as looked:
        for number in range(frames):
            looked.add(number, None if number == 3 else looked.submit(work, number))
            assert number + 1 - len(kept) < count
    return kept, threads


@pytest.mark.parametrize("count", [1, 2])
def test_what_is_found_is_kept_in_order(count: int) -> None:
    kept, threads = run(count)
    assert kept == list(range(7))
    assert len(threads) == count and (threading.current_thread().name in threads) == (count == 1)


def test_two_are_in_work_at_once() -> None:
    met = threading.Barrier(2, timeout=10)
    with ordered_pool.OrderedPool[int, int](lambda entry, found: None, 2) as looked:
        for number in range(4):
            looked.add(number, looked.submit(lambda: met.wait()))


def test_an_error_comes_where_its_frame_is_kept_and_nothing_after_it_is() -> None:
    kept = []

    def fail(number: int) -> int:
        if number == 2:
            raise ValueError("no")
        return number

    def keep(entry: int, found: Future[int] | None) -> None:
        assert found is not None
        kept.append(found.result())

    with pytest.raises(ValueError, match="no"), ordered_pool.OrderedPool(keep, 2) as looked:
        for number in range(6):
            looked.add(number, looked.submit(fail, number))
    assert kept == [0, 1] and not [t for t in threading.enumerate() if t.name.startswith("first-pass")]
