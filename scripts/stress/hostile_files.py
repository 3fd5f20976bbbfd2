"""Give every file of `tests/helpers/hostile.py` to its command, and print how it ended, its time and its peak memory.

python -m scripts.stress.hostile_files [--only NAME]...

Each command runs in a fork that has loaded the libraries. Its memory is what it takes above theirs. The exit code is 1
where a command ends with another exit code than it must, with more than one line, or over 1 GB or 10 seconds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from scripts.stress import forked, measured
from scripts.stress.fuzz_readers import MOST_MEMORY, MOST_SECONDS, WAITING
from tests.helpers.hostile import FILES
from vidinv.bench.synthetic_clip import make_clip

_PEAK = "peak memory: "


@dataclass(frozen=True)
class HostileOutcome:
    """How a command took a hostile file; `wrong` is empty where it ended as it must."""

    name: str
    code: int
    seconds: float
    megabytes: float
    said: str
    wrong: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=FILES)
    args = parser.parse_args()
    print("| file | exit code | seconds | peak MB | said |\n| --- | ---: | ---: | ---: | --- |")
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        forked.load(make_clip(Path(folder) / "clip.mp4", frames=3))
        for name in args.only or FILES:
            found = give(name, Path(folder))
            print(f"| {name} | {found.code} | {found.seconds:.1f} | {found.megabytes:.0f} | {found.said} |", flush=True)
            if found.wrong:
                wrong += 1
                print(f"{name}: {found.wrong}", file=sys.stderr)
    return int(wrong > 0)


def give(name: str, folder: Path) -> HostileOutcome:
    """Make the file of this name in `folder`, run its command in a fork, and remove the file."""
    file, path = FILES[name], folder / name
    file.make(path)
    arguments = [part.replace("{}", str(path)) for part in file.command]
    ended = forked.call(lambda: _run(arguments), seconds=WAITING * MOST_SECONDS)
    path.unlink()
    *lines, last = ended.errors or [""]
    peak = float(last.removeprefix(_PEAK)) if last.startswith(_PEAK) else float("inf")
    return HostileOutcome(
        name, ended.code, ended.seconds, peak / 1e6, " ".join(lines)[:160], _wrong(file.code, ended.code, lines, peak)
    )


def _run(arguments: list[str]) -> int:
    """The life of the fork: the command, and then its peak memory on standard error."""
    from vidinv.cli.main import main as vidinv

    before = measured.reset_peak()
    code = vidinv(arguments)
    print(f"{_PEAK}{measured.peak() - before}", file=sys.stderr)
    return code


def _wrong(expected: int, code: int, lines: list[str], peak: float) -> str:
    """What is not as it must be, or no text; a command that takes too long is killed."""
    if code != expected:
        return f"exit code {code} and not {expected}"
    if len(lines) != 1 or not lines[0].startswith("error: "):
        return f"{len(lines)} lines"
    return f"{peak / 1e6:.0f} MB" if peak > MOST_MEMORY else ""


if __name__ == "__main__":
    sys.exit(main())
