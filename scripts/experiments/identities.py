"""Count identity switches of the tracker on clips composed of two people, whose faces are known on every frame.

python -m scripts.experiments.identities A.mp4 B.mp4 [C.mp4 ...] [--json FILE]

For every two that follow each other: windows that cross (the one passes before the other), one that leaves the picture
for a second and comes back, one that is wholly hidden for half a second, a cut to the other and back, and a cut at
which both change places. A switch is a frame whose face is in another track than most of that person's; joined means
one track for each person.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from scripts.experiments import composed
from vidinv import config as configs
from vidinv.analysis import first_pass
from vidinv.backends import registry as backends
from vidinv.backends.interface import Locate
from vidinv.faces.tracker import Tracker
from vidinv.frames import Array
from vidinv.media import reader
from vidinv.process import tune_process

SIDE, WIDE = 320, 800  # pixels, of one person's window and of the whole picture
Places = list[dict[str, float]]  # on each frame, the middle of each person's window that is seen, left to right


@dataclass(frozen=True)
class IdentityRow:
    """One composed clip."""

    people: str
    kind: str
    frames: int
    seen: int  # faces that should be found, and were in some track
    of: int
    switches: int
    tracks: int
    is_joined: bool


def compose(kind: str, a: Sequence[Array], b: Sequence[Array]) -> tuple[list[Array], Places]:
    """The frames of a kind of clip, and where each person is on them."""
    shown, places = [], []
    for k in range(KINDS[kind]):
        canvas = np.full((SIDE, WIDE, 3), 90, np.uint8)
        there: dict[str, float] = {}
        for name, left in _lefts(kind, k):
            window = (a if name == "a" else b)[k % min(len(a), len(b))]
            first, last = max(0, round(left)), min(WIDE, round(left) + SIDE)
            if last - first > 0:
                canvas[:, first:last] = window[:, first - round(left) : last - round(left)]
                there[name] = left + SIDE / 2
        if kind == "hidden" and 20 <= k < 32:
            canvas[:, :400] = np.random.default_rng(1).integers(60, 90, (SIDE, 400, 3))
            there.pop("a", None)
        if kind == "crossing" and abs(there["a"] - there["b"]) < SIDE:
            there.pop("a")  # partly or wholly behind the other
        shown.append(canvas)
        places.append({name: x for name, x in there.items() if 0.35 * SIDE < x < WIDE - 0.35 * SIDE})
    return shown, places


KINDS = {"crossing": 50, "leaving": 65, "hidden": 52, "cut away": 60, "swapped": 40}  # frames


def _lefts(kind: str, k: int) -> list[tuple[str, float]]:
    """Each person's window by its left edge, the one behind first."""
    apart = [("a", 40.0), ("b", 440.0)]
    if kind == "crossing":
        return [("a", 20 + 440 * k / 49), ("b", 460 - 440 * k / 49)]
    if kind == "leaving":
        gone = 40 - 30 * min(max(k - 10, 0), 15) if k < 40 else 40 - 30 * max(15 - (k - 40), 0)
        return [("a", gone), ("b", 440.0)]
    if kind == "cut away":
        return [("b", 240.0)] if 20 <= k < 40 else [("a", 240.0)]
    if kind == "swapped" and k >= 20:
        return [("b", 40.0), ("a", 440.0)]
    return apart


def followed(clip: Path, places: Places, locate: Locate) -> tuple[int, int, int, int]:
    """Faces seen in tracks, faces there, switches, and tracks."""
    config = configs.load_run_config("fast", ["batch=1"])
    with tempfile.TemporaryDirectory() as folder:
        seen = first_pass.analyse(
            lambda first: reader.read_frames(clip, batch=1, first=first),
            locate,
            Path(folder),
            config,
            0,
            lambda done: None,
        )
        tracks = Tracker().link(seen.faces, seen.shots)
    owners: dict[str, list[int]] = {"a": [], "b": []}
    for frame, there in enumerate(places):
        for track in tracks:
            if frame in track.frames:
                x = track.landmarks[int(np.searchsorted(track.frames, frame))][:, 0].mean()
                near = min(there, key=lambda name: abs(there[name] - x), default=None)
                if near is not None and abs(there[near] - x) < SIDE / 3:
                    owners[near].append(track.id)
    switches = sum(len(ids) - Counter(ids).most_common(1)[0][1] for ids in owners.values() if ids)
    return sum(map(len, owners.values())), sum(map(len, places)), switches, len(tracks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    tune_process()
    locate, rows = backends.choose_backend("default").locator("2d106"), []
    for one, other in itertools.pairwise(args.clips):
        a, b = (composed.square(clip, 0, 80, SIDE) for clip in (one, other))
        for kind in KINDS:
            shown, places = compose(kind, a, b)
            with tempfile.TemporaryDirectory() as folder:
                clip = composed.write(Path(folder) / "clip.mp4", shown)
                seen, of, switches, tracks = followed(clip, places, locate)
            row = IdentityRow(f"{one.stem}, {other.stem}", kind, len(shown), seen, of, switches, tracks, tracks == 2)
            print(f"{row.people:<12} {kind:<9} {seen} of {of} faces, {switches} switches, {tracks} tracks", flush=True)
            rows.append(row)
    if args.json is not None:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
