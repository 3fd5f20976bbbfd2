"""Kill runs at random moments, repeat them, and check that each ends like an undisturbed run.

python -m scripts.stress.kill_and_resume [--kills 100] [--seed 0] [--json FILE]

Half of the kills (SIGKILL) come at a random time, half just before one of the run's file operations (open, rename,
unlink, mkdir ...), rare kinds as often as frequent ones, so that the short moments between them are met too. The
repeated run must give the same frames at the same times and the same report but for its timing, and leave nothing
else. With the tiny backend.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from scripts.stress import forked
from vidinv.bench.synthetic_clip import make_clip

LIMIT = 300.0  # seconds that one run may take
KINDS: dict[str, list[str]] = {
    "plain": [],
    "preview": ["--preview"],
    "codes": ["--codes", "{folder}/codes.safetensors"],
    "pictures": ["-o", "{folder}/out"],
}
CHANGES = ("os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "shutil.rmtree", "open")


@dataclass(frozen=True)
class KilledRun:
    """One run that was killed: of which kind, in which phase, before which operation (or after how many seconds)."""

    kind: str
    phase: str
    before: str
    same: bool
    why: str = ""


@dataclass(frozen=True)
class UndisturbedRun:
    """A run that was left alone: what it made, how long it took, and its file operations in their order."""

    made: dict[str, str]
    seconds: float
    operations: list[str]

    def any_operation(self, chance: random.Random) -> int:
        """The number of an operation, counted from 1; rare kinds come as often as frequent ones."""
        kinds: dict[str, list[int]] = {}
        for number, operation in enumerate(self.operations, start=1):
            kinds.setdefault(re.sub(r"\d+|\.\w{8}\b", "*", operation), []).append(number)
        return chance.choice(chance.choice(list(kinds.values())))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, dest="json_to")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        kills = tried(Path(name), args.kills, random.Random(args.seed))
    print(table(kills))
    if args.json_to is not None:
        args.json_to.write_text(json.dumps([asdict(kill) for kill in kills], indent=1) + "\n", encoding="utf-8")
    return 0 if all(kill.same for kill in kills) else 1


def tried(place: Path, count: int, chance: random.Random) -> list[KilledRun]:
    """`count` kills, each of a job of its own in the folder `place`, which is then repeated to its end."""
    source = make_clip(place / "in.mp4", frames=20, cut_at=9)
    forked.load(source)
    wholes = {kind: left_alone(source, place / kind, kind) for kind in KINDS}
    kills: list[KilledRun] = []
    while len(kills) < count:
        kind = list(KINDS)[len(kills) % len(KINDS)]
        folder = place / f"{len(kills)}"
        kill = killed(source, folder, kind, wholes[kind], chance)
        kills += [] if kill is None else [kill]
        shutil.rmtree(folder)
        if kill is not None and not kill.same:
            print(f"{kill}", file=sys.stderr)
    return kills


def left_alone(source: Path, folder: Path, kind: str) -> UndisturbedRun:
    """The kind's run without a kill."""
    folder.mkdir()
    counted = folder.parent / "operations"
    ended = forked.run(command(source, folder, kind), seconds=LIMIT, begin=lambda: count_into(counted, folder))
    if ended.code:
        raise RuntimeError(f"the run that was left alone ended with {ended.code}: {ended.said}")
    return UndisturbedRun(made_in(folder), ended.seconds, counted.read_text(encoding="utf-8").splitlines())


def killed(source: Path, folder: Path, kind: str, whole: UndisturbedRun, chance: random.Random) -> KilledRun | None:
    """A run that is killed and repeated; None where it ended before the kill came."""
    folder.mkdir()
    if chance.random() < 0.5:
        after = chance.uniform(0, whole.seconds)
        before, begin = f"after {after:.2f} s", lambda: kill_after(after)
    else:
        number = whole.any_operation(chance)
        noted = folder.parent / "operation"
        before, begin = "", lambda: kill_before(number, folder, noted)
    first = forked.run(command(source, folder, kind), seconds=LIMIT, begin=begin)
    if first.code != -signal.SIGKILL:
        return None
    before = before or noted.read_text(encoding="utf-8")
    again = forked.run(command(source, folder, kind), seconds=LIMIT)
    is_done = again.code == 7 and made_in(folder) == whole.made  # nothing but the empty job folder was left to do
    if again.code and not is_done:
        return KilledRun(kind, phase(first), before, False, f"repeated, it ended with {again.code}: {again.errors}")
    why = "; ".join(differences(whole.made, made_in(folder)))
    return KilledRun(kind, phase(first), before, not why, why)


def command(source: Path, folder: Path, kind: str) -> list[str]:
    """The command line of a kind of run."""
    own = [each.format(folder=folder) for each in KINDS[kind]]
    output = [] if "-o" in own else ["-o", f"{folder}/out.mp4"]
    steps = ["--edit", "age+3", "--set", "segment_seconds=0.2", "--progress", "json"]
    return ["run", str(source), *output, *steps, *forked.TINY, *own]


def phase(ended: forked.Ended) -> str:
    """The phase that a run had come to."""
    events = [json.loads(line) for line in ended.said.splitlines() if line.startswith("{") and line.endswith("}")]
    return next((event["name"] for event in reversed(events) if event["event"] == "phase"), "start")


def made_in(folder: Path) -> dict[str, str]:
    """What lies in a folder: of videos a digest of every frame and its time, of reports of all but their timing."""
    return {str(path.relative_to(folder)): digest(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def differences(whole: dict[str, str], made: dict[str, str]) -> list[str]:
    """Which files are not the same, and on which lines."""
    found = []
    for name in sorted(whole.keys() | made.keys()):
        lines, others = (each.get(name, "").split("\n") for each in (whole, made))
        different = [k for k, pair in enumerate(zip_longest(lines, others)) if pair[0] != pair[1]]
        found += [f"{name} differs at {different[:20]} of {len(lines)}"] if different else []
    return found


def digest(path: Path) -> str:
    """What must be the same of a file."""
    if path.suffix == ".mp4":
        return frames(path)
    is_report = path.suffix == ".json" and not any(part.endswith(".vidinv") for part in path.parts)
    if is_report and path.name != "frames.json":
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return json.dumps(report | {"timing": None}, indent=1)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def frames(path: Path) -> str:
    """A line for every frame: its pts and the sha256 of its samples."""
    from vidinv.media import reader

    lines = []
    for batch in reader.read_frames(path):
        for pts, planes in zip(batch.pts, batch.native, strict=True):
            samples = hashlib.sha256()
            for plane in planes.planes:
                samples.update(plane.tobytes())
            lines.append(f"{pts} {samples.hexdigest()}")
    return "\n".join(lines)


def kill_after(seconds: float) -> None:
    """This process is killed after some seconds, whatever it does."""

    def end() -> None:
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=end, daemon=True).start()


def kill_before(number: int, folder: Path, noted: Path) -> None:
    """This process is killed just before its file operation `number` in `folder`, whose name is then `noted`."""
    seen = 0

    def end(operation: str) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            noted.write_text(operation, encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)

    heard(end, folder)


def count_into(counted: Path, folder: Path) -> None:
    """Every file operation of this process in `folder` adds a line to a file."""
    file = os.open(counted, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    heard(lambda operation: os.write(file, f"{operation}\n".encode()), folder)


def heard(call: Callable[[str], object], folder: Path) -> None:
    """`call` hears of every operation of this process that changes files in `folder`, just before it happens."""

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if event not in CHANGES or not isinstance(given[0], (str, os.PathLike)):
            return
        if event == "open" and not (given[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        path = at_handle(event, given) / os.fspath(given[0])
        if folder in path.parents:
            call(f"{event} {path.relative_to(folder)}")

    sys.addaudithook(hook)


def at_handle(event: str, given: tuple[Any, ...]) -> Path:
    """The folder of the handle that an operation is relative to; empty where it names a path."""
    handles = given[2:] if event in ("os.rename", "os.link", "os.mkdir", "os.chmod") else given[1:]
    handle = handles[0] if event != "open" and handles and isinstance(handles[0], int) else -1
    return Path(os.readlink(f"/proc/self/fd/{handle}")) if handle >= 0 else Path()


def table(kills: list[KilledRun]) -> str:
    """How many kills came in which phase of which kind of run, and how many of those ended as if undisturbed."""
    phases = list(dict.fromkeys(["start", "analyse", "render", "assemble", *(kill.phase for kill in kills)]))
    came, same = Counter((k.kind, k.phase) for k in kills), Counter((k.kind, k.phase) for k in kills if k.same)
    lines = ["| run | " + " | ".join(phases) + " |", "| --- |" + " ---: |" * len(phases)]
    for kind in KINDS:
        cells = [f"{same[kind, name]} of {came[kind, name]}" if came[kind, name] else "" for name in phases]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    at_operation = sum(not kill.before.startswith("after") for kill in kills)
    lines.append(f"{sum(kill.same for kill in kills)} of {len(kills)} the same; {at_operation} at a file operation")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
