"""Run the command line on damaged videos and damaged job folders, and check how it ends.

python -m scripts.stress.fuzz [--inputs 10000] [--first 0] [--seed 0] [--minutes M] [--json FILE]
    [--only NUMBER --keep FOLDER]

Each input is one of: `read`, a damaged video whose frames are read; `run`, one that is edited by `vidinv run --backend
tiny`; `resume`, the folder of a killed job, some of its files damaged, whose command is repeated. It runs in a process
of its own with a bound on time and memory, and must end with an exit code of the list, one line that says why, and
nothing under the output's name; a job that ends well must give the frames that it gives without damage. Input N of a
seed is always the same: `--only N` runs that one again, `--keep` leaves what it was in a folder.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.stress import forked, kill_and_resume, mutations
from scripts.stress.forked import Ended
from vidinv.bench.synthetic_clip import make_clip

SECONDS, MEGABYTES = 120.0, 1500  # of one input: on the clock (a quarter of it on the processor), beside what is loaded
ALLOWED = {"read": {0, 3}, "run": {0, 2, 3, 4}, "resume": {0, 2, 3, 7}}
CLIPS = {"mp4": "libx264", "mov": "mpeg4", "mkv": "libx265", "webm": "libvpx-vp9", "avi": "mpeg4", "ts": "libx264"}
CLIPS |= {"flv": "libx264", "nut": "ffv1"}
JOB = "out.mp4.vidinv"


@dataclass(frozen=True)
class FuzzCase:
    """One input and how it ended; `wrong` says what should not be, or nothing."""

    number: int
    kind: str
    clip: str
    code: int
    said: str
    seconds: float
    megabytes: float
    wrong: str


@dataclass(frozen=True)
class Stock:
    """What inputs are made of: clips by suffix, a killed job's folder, and what that job makes when it goes on."""

    clips: dict[str, bytes]
    source: Path
    job: Path
    whole: dict[str, str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="begin with this one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after them")
    parser.add_argument("--only", type=int)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--json", type=Path, dest="json_to")
    args = parser.parse_args()
    until = time.monotonic() + 60 * args.minutes
    cases: list[FuzzCase] = []
    with tempfile.TemporaryDirectory() as name:
        stock = stocked(Path(name))
        for number in range(args.first, args.inputs) if args.only is None else [args.only]:
            if time.monotonic() > until:
                break
            place = Path(name) / "input"
            place.mkdir()
            cases.append(tried(number, random.Random(f"{args.seed} {number}"), stock, place))
            if cases[-1].wrong:
                print(cases[-1], file=sys.stderr, flush=True)
            if args.keep is not None:
                shutil.copytree(place, args.keep, dirs_exist_ok=True)
            shutil.rmtree(place)
    print(table(cases))
    if args.json_to is not None:
        args.json_to.write_text(json.dumps([asdict(case) for case in cases], indent=1) + "\n", encoding="utf-8")
    return int(any(case.wrong for case in cases))


def stocked(place: Path) -> Stock:
    """Make the clips, load the libraries, and have a job killed in the middle."""
    clips = {}
    for suffix, codec in CLIPS.items():
        path, audio = place / f"clip.{suffix}", suffix not in ("avi", "nut")
        clips[suffix] = make_clip(path, codec=codec, size=(64, 48), frames=10, audio=audio, rate=25).read_bytes()
    source, left = make_clip(place / "in.mp4", frames=20, cut_at=9), place / "left"
    forked.load(source)
    whole = kill_and_resume.left_alone(source, place / "preview", "preview")
    middle = whole.operations.index(f"open {JOB}/segment-00003.segment") + 1
    left.mkdir()
    command = kill_and_resume.command(source, left, "preview")
    begin = lambda: kill_and_resume.kill_before(middle, left, place / "operation")  # noqa: E731
    ended = forked.run(command, seconds=SECONDS, begin=begin)
    if ended.code != -signal.SIGKILL:
        raise RuntimeError(f"the job that was to be killed ended with {ended.code}")
    return Stock(clips, source, left / JOB, whole.made)


def tried(number: int, chance: random.Random, stock: Stock, place: Path) -> FuzzCase:
    """Make input `number` in the folder `place`, and see how it ends."""
    kind = chance.choices(["read", "run", "resume"], [86, 7, 7])[0]
    if kind == "resume":
        return resumed(number, chance, stock, place)
    suffix = chance.choice(list(stock.clips))
    source, output = place / f"in.{suffix}", place / "out.mkv"
    source.write_bytes(mutations.mutated(stock.clips[suffix], chance))
    if kind == "read":
        ended = forked.call(lambda: reads(source), seconds=SECONDS, megabytes=MEGABYTES)
    else:
        edit = chance.choice([[], ["--edit", "age+3"]])
        command = ["run", str(source), "-o", str(output), "--progress", "none", *edit, *forked.TINY]
        ended = forked.run(command, seconds=SECONDS, megabytes=MEGABYTES)
    wrong = judged(kind, ended)
    if not wrong and ended.code and output.exists():
        wrong = "the output is there"
    return case(number, kind, suffix, ended, wrong)


def resumed(number: int, chance: random.Random, stock: Stock, place: Path) -> FuzzCase:
    """Damage the killed job, and repeat its command."""
    shutil.copytree(stock.job, place / JOB)
    for path in chance.sample(sorted(p for p in (place / JOB).iterdir() if p.name != "lock"), chance.choice((1, 1, 2))):
        damage(path, chance)
    command = kill_and_resume.command(stock.source, place, "preview")
    ended = forked.run(command, seconds=SECONDS, megabytes=MEGABYTES)
    wrong = judged("resume", ended)
    if not wrong and not ended.code:
        wrong = "; ".join(kill_and_resume.differences(stock.whole, kill_and_resume.made_in(place)))
    return case(number, "resume", "job", ended, wrong)


def damage(path: Path, chance: random.Random) -> None:
    """Change, empty or remove a file, or put another of the folder in its place."""
    match chance.randrange(8):
        case 0:
            path.unlink()
        case 1:
            path.write_bytes(b"")
        case 2:
            other = chance.choice(sorted(path.parent.iterdir()))
            path.write_bytes(other.read_bytes())
        case _:
            path.write_bytes(mutations.mutated(path.read_bytes(), chance))


def reads(source: Path) -> int:
    """Read every frame as a run does; the exit code of the error where there is one."""
    from vidinv.errors import VidinvError
    from vidinv.media import probe, reader

    try:
        probe.probe(source)
        for _ in reader.read_frames(source):
            pass
    except VidinvError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def judged(kind: str, ended: Ended) -> str:
    """What is wrong with the way a run ended."""
    errors = ended.errors
    if ended.code < 0:
        return f"killed by {signal.Signals(-ended.code).name}"
    if ended.code == 1 and "out of memory" in ended.said:
        return ""
    if ended.code not in ALLOWED[kind]:
        return f"exit code {ended.code}"
    if ended.code and not (len(errors) == 1 and errors[0].startswith("error: ")):
        return f"{len(errors)} lines"
    return ""


def case(number: int, kind: str, clip: str, ended: Ended, wrong: str) -> FuzzCase:
    said = "\n".join(ended.errors)[-2000:]
    return FuzzCase(number, kind, clip, ended.code, said, round(ended.seconds, 2), round(ended.megabytes), wrong)


def table(cases: list[FuzzCase]) -> str:
    """How many inputs of each kind ended with each exit code, the slowest and the largest, and how many went wrong."""
    codes = sorted({each.code for each in cases})
    lines = [
        "| input | " + " | ".join(map(str, codes)) + " | slowest | peak MB |",
        "| --- |" + " ---: |" * (len(codes) + 2),
    ]
    for kind in ALLOWED:
        of = [each for each in cases if each.kind == kind]
        if of:
            count = Counter(each.code for each in of)
            cells = [str(count[code]) for code in codes]
            worst = f"{max(e.seconds for e in of):.1f} s | {max(e.megabytes for e in of):.0f}"
            lines.append(f"| {kind} | " + " | ".join(cells) + f" | {worst} |")
    return "\n".join([*lines, f"{sum(bool(each.wrong) for each in cases)} of {len(cases)} went wrong"])


if __name__ == "__main__":
    sys.exit(main())
