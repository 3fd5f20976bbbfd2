"""Feed every reader of handed-over files with damaged and hostile inputs, within bounds on memory and time.

python -m scripts.stress.fuzz_readers [--minutes 10 | --inputs N] [--only READER]... [--seed 0] [--first 0]
    [--keep FOLDER] [--json FILE]

The readers are those of `tests/fuzz`. Each is fed in a fork of its own, and each input must end within 10 seconds of
the processor (60 on the clock) and take at most 1 GB above what the imports take; the reader may refuse it by its
documented errors. Input N of a seed is always the same. What failed is kept in FOLDER as READER-N.bin, with its error
as READER-N.txt, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import mmap
import resource
import signal
import struct
import sys
import tempfile
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from scripts.stress import forked, measured
from tests.fuzz.harness import READERS, Harness, harness_of

MOST_SECONDS, MOST_MEMORY = 10, 1 << 30  # of one input; memory in bytes above that of the imports
WAITING = 6  # times as long on the clock: a reader that waits uses no processor, and the machine may be busy
MOST_ADDRESSES = 4 << 30  # bytes of address space beyond, so that a fault does not take the machine's memory
MOST_FAILURES = 10  # of one reader, after which it is given up
_COUNTERS = struct.Struct("<qqd")  # next input, largest memory in bytes, slowest in seconds


@dataclass(frozen=True)
class Fed:
    """How a reader took its inputs; `failures` are the numbers of those that failed."""

    reader: str
    inputs: int
    per_second: float
    peak_mb: float
    slowest_s: float
    failures: tuple[int, ...]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="of each reader")
    parser.add_argument("--inputs", type=int, default=1 << 62, help="stop each reader after this many")
    parser.add_argument("--only", action="append", choices=READERS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="begin with this input")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"))
    parser.add_argument("--json", type=Path, dest="json_to")
    args = parser.parse_args()
    found = []
    for reader in args.only or READERS:
        found.append(feed(reader, 60 * args.minutes, range(args.first, args.first + args.inputs), args.seed, args.keep))
        print(table(found[-1:]), flush=True)
    if len(found) > 1:
        print(table(found))
    if args.json_to is not None:
        args.json_to.write_text(json.dumps([asdict(each) for each in found], indent=1) + "\n", encoding="utf-8")
    return int(any(each.failures for each in found))


def feed(reader: str, seconds: float, numbers: range, seed: int, keep: Path) -> Fed:
    """Feed a reader with the inputs of these numbers, for so many seconds, and keep those that fail in `keep`."""
    harness = harness_of(reader)
    begin, failures = time.monotonic(), list[int]()
    with mmap.mmap(-1, _COUNTERS.size) as shared:  # which a fork shares with this process, also when it is killed
        _COUNTERS.pack_into(shared, 0, numbers.start, 0, 0.0)
        while len(failures) < MOST_FAILURES:
            left = seconds - (time.monotonic() - begin)
            number = _COUNTERS.unpack_from(shared)[0]
            if left <= 0 or number >= numbers.stop:
                break
            rest = range(number, numbers.stop)
            with tempfile.TemporaryDirectory(prefix="vidinv-fuzz-") as folder:
                before = tempfile.tempdir
                tempfile.tempdir = folder  # what a killed reader leaves is removed
                try:
                    ended = forked.call(
                        lambda rest=rest, left=left: _feed(harness, rest, seed, left, shared),  # type: ignore[misc]
                        seconds=left + (1 + WAITING) * MOST_SECONDS,
                    )
                finally:
                    tempfile.tempdir = before
            if ended.code:
                number = _COUNTERS.unpack_from(shared)[0]
                failures.append(number)
                _keep(keep / f"{reader}-{number}", harness.make(Random(f"{seed} {number}")), ended)
                _COUNTERS.pack_into(shared, 0, number + 1, *_COUNTERS.unpack_from(shared)[1:])
        number, largest, slowest = _COUNTERS.unpack_from(shared)
    took = time.monotonic() - begin
    count = number - numbers.start
    return Fed(reader, count, round(count / took, 1), round(largest / 1e6), round(slowest, 2), tuple(failures))


def _feed(harness: Harness, numbers: range, seed: int, seconds: float, shared: mmap.mmap) -> int:
    """The life of a fork: read inputs until the time is over; 1 where one takes too much memory.

    An exception of the reader ends it with its traceback, an input that takes too long by SIGPROF or SIGALRM.
    """
    _, largest, slowest = _COUNTERS.unpack_from(shared)
    until = time.monotonic() + seconds
    warnings.simplefilter("ignore")
    _warm_up(harness)
    loaded = measured.reset_peak()
    addresses = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (addresses + MOST_MEMORY + MOST_ADDRESSES,) * 2)
    for number in numbers:
        if time.monotonic() > until:
            break
        data = harness.make(Random(f"{seed} {number}"))
        measured.reset_peak()
        begin = time.process_time()
        _limit_time(MOST_SECONDS)
        harness.one(data)
        _limit_time(0)
        slowest, taken = max(slowest, time.process_time() - begin), measured.peak() - loaded
        largest = max(largest, taken)
        _COUNTERS.pack_into(shared, 0, number, largest, slowest)
        if taken > MOST_MEMORY:
            print(f"it took {taken / 1e6:.0f} MB", file=sys.stderr)
            return 1
        _COUNTERS.pack_into(shared, 0, number + 1, largest, slowest)
    return 0


def _limit_time(seconds: float) -> None:
    """End this process after so many seconds on the processor, or WAITING times as many on the clock; 0: never."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, WAITING * seconds)


def _warm_up(harness: Harness) -> None:
    """Read one input of another seed, so that what is loaded on first use does not count as the reader's memory."""
    harness.one(harness.make(Random("warm")))


def _keep(stem: Path, data: bytes, ended: forked.Ended) -> None:
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem.with_suffix(".bin").write_bytes(data)
    how = signal.Signals(-ended.code).name if ended.code < 0 else f"exit code {ended.code}"
    stem.with_suffix(".txt").write_text(f"{how}\n{ended.said}", encoding="utf-8")
    last = (ended.said.strip().splitlines() or [""])[-1][:200]
    print(f"{stem.name} failed ({how}): {last}", file=sys.stderr, flush=True)


def table(found: list[Fed]) -> str:
    """The figures of every reader."""
    lines = ["| reader | inputs | inputs/s | peak MB | slowest s | failures |", "| --- |" + " ---: |" * 5]
    for each in found:
        figures = f"{each.per_second} | {each.peak_mb:.0f} | {each.slowest_s} | {len(each.failures)}"
        lines.append(f"| {each.reader} | {each.inputs:,} | {figures} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
