"""Kill batches at random, repeat them, and check that nothing is lost and nothing is done twice.

python -m scripts.stress.kill_batch [--clips 8] [--kills 20] [--pool local|ray|both] [--seed 0] [--json FILE]

Every batch has five hostile clips among its clips. What is killed (SIGKILL) at a random moment is the driver, a worker,
or with Ray the cluster's own processes on this machine; then the same command is repeated to its end. It must end with
the exit code 3, each output must have the frames, times and report of `vidinv run` on its clip alone, no clip that was
done may be started again, and nothing else may be left. With the tiny backend.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil

from scripts.stress import forked
from scripts.stress.kill_and_resume import differences, made_in
from vidinv.bench.synthetic_clip import make_clip

EDIT = ["--edit", "age+3", "--set", "segment_seconds=0.2"]
LIMIT = 600.0  # seconds that one batch may take
OWN = {"batch.sqlite", "batch.sqlite-wal", "batch.sqlite-shm", "batch.lock", "batch.log", "batch.html"}
WORKERS = {"local": ("vidinv.batch.worker",), "ray": ("ray::_Actor",)}
VICTIMS = {"local": ("driver", "worker"), "ray": ("driver", "worker", "cluster")}
CLUSTER = ("raylet", "gcs_server")


@dataclass(frozen=True)
class KilledBatch:
    """What was killed in a batch of which workers, after how many seconds, and what was wrong afterwards."""

    pool: str
    victim: str
    after: float
    wrong: str = ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--pool", choices=("local", "ray", "both"), default="local")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, dest="json_to")
    args = parser.parse_args()
    pools = ("local", "ray") if args.pool == "both" else (args.pool,)
    with tempfile.TemporaryDirectory() as name:
        kills = list(tried(Path(name), args.clips, args.kills, pools, random.Random(args.seed)))
    for pool in pools:
        for victim in VICTIMS[pool]:
            mine = [kill for kill in kills if (kill.pool, kill.victim) == (pool, victim)]
            print(f"{pool} {victim}: {sum(not kill.wrong for kill in mine)} of {len(mine)} as if undisturbed")
    if args.json_to is not None:
        args.json_to.write_text(json.dumps([asdict(kill) for kill in kills], indent=1) + "\n", encoding="utf-8")
    return 0 if not any(kill.wrong for kill in kills) else 1


def tried(place: Path, clips: int, count: int, pools: tuple[str, ...], chance: random.Random) -> Iterator[KilledBatch]:
    """`count` kills: of each pool in turn, of each of its victims in turn, in a batch of its own."""
    given = place / "in"
    given.mkdir()
    wanted = alone(given, place / "alone", clips)
    hostile(given)
    whole: dict[str, float] = {}
    for pool in pools:
        begin = time.monotonic()
        wrong = repeated(given, place / f"whole-{pool}", pool, wanted)
        whole[pool] = time.monotonic() - begin
        print(f"{pool}: a whole batch takes {whole[pool]:.1f} s {wrong}", file=sys.stderr)
        if wrong:
            raise RuntimeError(f"a batch that was left alone went wrong: {wrong}")
    for number in range(count):
        pool = pools[number % len(pools)]
        victim = VICTIMS[pool][number // len(pools) % len(VICTIMS[pool])]
        output = place / f"{number}"
        after = disturbed(given, output, pool, victim, chance.uniform(0.1, 1.0) * whole[pool])
        kill = KilledBatch(pool, victim, round(after, 2), repeated(given, output, pool, wanted))
        print(kill, file=sys.stderr)
        yield kill
        shutil.rmtree(output)


def alone(given: Path, place: Path, count: int) -> dict[str, str]:
    """Make the good clips, and what `vidinv run` makes of each: digests by the names that a batch gives."""
    place.mkdir()
    for n in range(count):
        source = make_clip(given / f"{n:03d}.mp4", frames=6 + n % 5, cut_at=3 if n % 2 else None)
        if not n:
            forked.load(source)
        output = place / f"{n:03d}.edited.mp4"
        ended = forked.run(["run", str(source), "-o", str(output), *EDIT, *forked.TINY], seconds=LIMIT)
        if ended.code:
            raise RuntimeError(f"{source} alone ended with {ended.code}: {ended.said}")
    return comparable(place)


def hostile(given: Path) -> None:
    """No video, no face, a truncated one, a giant header, and one that cannot be read."""
    whole = make_clip(given.parent / "whole.mp4", frames=30).read_bytes()
    (given / "h-text.mp4").write_text("this is no video", encoding="utf-8")
    make_clip(given / "h-dark.mp4", frames=6, image=lambda index: np.zeros((64, 96, 3), np.uint8))
    (given / "h-truncated.mp4").write_bytes(whole[: len(whole) // 2])
    giant = b"\0\0\0\x14ftypisom\0\0\0\0isom" + b"\0\0\0\x01moov" + (1 << 62).to_bytes(8, "big") + b"\0" * 64
    (given / "h-giant.mp4").write_bytes(giant)
    (given / "h-unreadable.mp4").symlink_to(given / "not there")


def command(given: Path, output: Path, pool: str) -> list[str]:
    workers = ["--workers", "2", "--retries", "5"]
    cluster = ["--cluster", "ray", "--memory", "500"] if pool == "ray" else []
    steps = ["--progress", "none", *EDIT, *forked.TINY]
    return [sys.executable, "-m", "vidinv", "batch", str(given), "-o", str(output), *workers, *cluster, *steps]


def disturbed(given: Path, output: Path, pool: str, victim: str, after: float) -> float:
    """A batch of which `victim` is killed after so many seconds, or as soon as there is one; returns when."""
    begin = time.monotonic()
    batch = subprocess.Popen(command(given, output, pool), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after)
    while batch.poll() is None:
        found = [batch.pid] if victim == "driver" else victims(batch.pid, pool, victim)
        if found:
            os.kill(random.Random(len(found)).choice(found), signal.SIGKILL)
            break
        time.sleep(0.2)
    killed = time.monotonic() - begin
    batch.wait(timeout=LIMIT)
    return killed


def victims(driver: int, pool: str, victim: str) -> list[int]:
    """Processes below the driver that are the pool's workers, or the cluster's own."""
    names = CLUSTER if victim == "cluster" else WORKERS[pool]
    found = []
    for process in psutil.Process(driver).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(name in " ".join(process.cmdline()[:4]) for name in names):
                found.append(process.pid)
    return found


def repeated(given: Path, output: Path, pool: str, wanted: dict[str, str]) -> str:
    """The batch repeated to its end; returns what is not as it should be."""
    with tempfile.TemporaryFile("w+") as said:  # a pipe would be held open by what a killed cluster leaves behind
        ended = subprocess.run(command(given, output, pool), stdout=said, stderr=said, timeout=LIMIT)
        said.seek(0)
        if ended.returncode != 3:
            return f"exit code {ended.returncode}: {said.read().strip()[-300:]}"
    found = comparable(output)
    wrong = differences(wanted, found) + again(output / "batch.log")
    return "; ".join(wrong)


def comparable(folder: Path) -> dict[str, str]:
    """What lies in a folder, but for what is the batch's own, and the command that asked for it."""
    found = {}
    for name, digest in made_in(folder).items():
        if name in OWN:
            continue
        if name.endswith(".json"):
            digest = json.dumps(json.loads(digest) | {"command": None}, indent=1)
        found[name] = digest
    return found


def again(log: Path) -> list[str]:
    """Return the clips that were started after they were done."""
    done, wrong = set(), []
    for line in log.read_text(encoding="utf-8").splitlines():
        name = line.split()[2].rstrip(":")
        if re.search(r": done in ", line):
            done.add(name)
        elif line.endswith(": started") and name in done:
            wrong.append(f"{name} was started again")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
