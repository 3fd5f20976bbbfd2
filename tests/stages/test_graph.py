"""The graph: order, bounded look-ahead, the first error, interruption."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from vidinv.stages import graph


@dataclass
class FakeWork:
    """What the graph reads of a Work."""

    number: int

    @property
    def frames(self) -> Any:
        return SimpleNamespace(index=(self.number,))


def pass_on(works: Iterator[Any]) -> Iterator[Any]:
    yield from works


def test_order_is_kept_and_every_stage_is_timed() -> None:
    seen: list[int] = []
    source = ("decode", (FakeWork(i) for i in range(50)))
    times = graph.run([("a", pass_on), ("b", pass_on)], source, ("encode", lambda work: seen.append(work.number)))
    assert seen == list(range(50))
    assert set(times) == {"decode", "a", "b", "encode"}


def test_the_decoder_runs_only_a_few_works_ahead() -> None:
    made, done, ahead = 0, 0, 0

    def source() -> Iterator[FakeWork]:
        nonlocal made
        for i in range(40):
            made += 1
            yield FakeWork(i)

    def sink(work: Any) -> None:
        nonlocal done, ahead
        ahead = max(ahead, made - done)
        done += 1

    graph.run([("a", pass_on)], ("decode", source()), ("encode", sink))  # type: ignore[arg-type]
    assert done == 40 and ahead <= 2 * graph.DEPTH + 4


def test_the_stages_from_the_parted_one_on_run_beside_those_before_it() -> None:
    threads: dict[str, set[str]] = {"draw": set(), "judge": set()}
    met = threading.Barrier(2, timeout=10)  # both stages have to be at work at once to pass it

    def stage(name: str) -> graph.Stage:
        def run(works: Iterator[Any]) -> Iterator[Any]:
            for work in works:
                threads[name].add(threading.current_thread().name)
                if work.number == (1 if name == "draw" else 0):
                    met.wait()
                yield work

        return run

    seen: list[int] = []
    stages = [("draw", stage("draw")), ("judge", stage("judge")), ("last", pass_on)]
    source: Any = (FakeWork(i) for i in range(12))
    times = graph.run(stages, ("decode", source), ("encode", lambda work: seen.append(work.number)), ["judge"])
    assert seen == list(range(12)) and set(times) == {"decode", "draw", "judge", "last", "encode"}
    assert threads["draw"] == {threading.current_thread().name} and not threads["judge"] & threads["draw"]
    assert not any(thread.name == "lane judge" for thread in threading.enumerate())


def test_every_lane_begins_as_it_is_told_and_a_stage_that_is_not_there_begins_none() -> None:
    begun: list[str] = []
    stages: Any = [(name, pass_on) for name in ("a", "b", "c")]
    source: Any = (FakeWork(i) for i in range(3))
    seen: list[int] = []
    graph.run(
        stages,
        ("decode", source),
        ("encode", lambda work: seen.append(work.number)),
        ["a", "b", "c", "absent"],
        lambda: begun.append(threading.current_thread().name),
    )
    assert seen == [0, 1, 2]
    assert sorted(begun) == sorted([threading.current_thread().name, "lane b", "lane c"])


@pytest.mark.parametrize("where", ["decode", "model", "judge", "encode"])
def test_the_first_error_stops_all_and_names_its_stage(where: str) -> None:
    def fail_at_7(works: Any) -> Iterator[Any]:
        for work in works:
            if work.number == 7:
                raise RuntimeError("no")
            yield work

    def sink(work: Any) -> None:
        if where == "encode" and work.number == 7:
            raise RuntimeError("no")

    works: Any = (FakeWork(i) for i in range(20))
    source = fail_at_7(works) if where == "decode" else works
    stages = [(name, fail_at_7 if where == name else pass_on) for name in ("model", "judge")]
    with pytest.raises(RuntimeError, match="no") as caught:
        graph.run(stages, ("decode", source), ("encode", sink), ["judge"])
    assert f"in stage {where}" in " ".join(caught.value.__notes__)


def test_an_interruption_ends_the_threads() -> None:
    def interrupted(works: Any) -> Iterator[Any]:
        yield next(works)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        graph.run([("a", interrupted)], ("decode", (FakeWork(i) for i in range(20))), ("encode", lambda work: None))  # type: ignore[arg-type]
