"""Measure recall and false positives of shot detection on spliced clips, for vidinv and PySceneDetect.

python -m scripts.experiments.cuts FOLDER [--json FILE]

FOLDER holds clips of one shot each. Cut: hard cuts, jump cuts (a second or two left out of one clip), dissolves of 10
frames. Not cut: flashes of two frames, pans of 30 pixels a frame, the clips as they are. A cut counts as found within
one frame; of a dissolve any frame serves.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector, ContentDetector

from scripts.experiments import composed
from vidinv.analysis import shot_detection
from vidinv.config import RunConfig
from vidinv.frames import Array, Planes

PIECE, DISSOLVE, SIDE = 25, 10, 480
Span = tuple[int, int]  # a cut may be found on these frames, both included
Find = Callable[[Sequence[Array]], list[int]]


@dataclass(frozen=True)
class CutCase:
    """A composed clip and where it is cut."""

    kind: str
    name: str
    shown: list[Array]
    truth: list[Span]


@dataclass
class Total:
    """What one finder did on the clips of one kind."""

    finder: str
    kind: str
    cuts: int = 0
    found: int = 0
    false: int = 0
    frames: int = 0

    def add(self, case: CutCase, hit: int, false: int) -> None:
        self.cuts += len(case.truth)
        self.found += hit
        self.false += false
        self.frames += len(case.shown)


def cases(clips: Sequence[Path]) -> Iterator[CutCase]:
    """All composed clips, one at a time."""
    whole = {path.stem: composed.square(path, 0, 110, SIDE) for path in clips}
    for before, after in itertools.permutations(whole, 2):
        a, b = whole[before][:PIECE], whole[after][:PIECE]
        yield CutCase("hard cut", f"{before}|{after}", a + b, [(PIECE, PIECE)])
        mixed = [
            cv2.addWeighted(x, 1 - share, y, share, 0)
            for x, y, share in zip(
                whole[before][15:PIECE], whole[after], np.linspace(0.05, 0.95, DISSOLVE).tolist(), strict=False
            )
        ]
        shown = whole[before][:15] + mixed + whole[after][DISSOLVE:PIECE]
        yield CutCase("dissolve", f"{before}>{after}", shown, [(14, PIECE + 1)])
    for name, shown in whole.items():
        yield CutCase("as it is", name, shown, [])
        for skip in (25, 40, 60):
            if len(shown) >= skip + 2 * PIECE:
                jumped = shown[:PIECE] + shown[PIECE + skip : 2 * PIECE + skip]
                yield CutCase("jump cut", f"{name}+{skip}", jumped, [(PIECE, PIECE)])
        for at, light in ((10, 255), (18, 200)):
            lit = [
                cv2.addWeighted(frame, 0.25, np.full_like(frame, light), 0.75, 0) if at <= k < at + 2 else frame
                for k, frame in enumerate(shown[: 2 * PIECE])
            ]
            yield CutCase("flash", f"{name}@{at}", lit, [])
        yield CutCase("pan", name, [_panned(frame, 30 * k) for k, frame in enumerate(shown[:PIECE])], [])


def _panned(frame: Array, shift: int) -> Array:
    """What a camera sees that has turned `shift` pixels to the right; a wide picture is made of the frame mirrored."""
    wide = np.concatenate([frame, frame[:, ::-1], frame], 1)
    return wide[:, shift : shift + frame.shape[1]]


def by_vidinv(shown: Sequence[Array]) -> list[int]:
    watch = shot_detection.ChangeMeter()
    return shot_detection.shot_starts(
        np.array([watch.look(_planes(frame)) for frame in shown]), RunConfig.cut_threshold
    )[1:]


def _planes(rgb: Array) -> Planes:
    return Planes(tuple(rgb[..., k].copy() for k in (1, 2, 0)), "gbrp", 0, 0, 8)


def by_content(shown: Sequence[Array]) -> list[int]:
    """PySceneDetect's ContentDetector at its own threshold."""
    detector, times = ContentDetector(threshold=27.0, min_scene_len=0), _times(shown)
    return [time.frame_num for time, small in times if detector.process_frame(time, small)]


def _times(shown: Sequence[Array]) -> Iterator[tuple[FrameTimecode, Array]]:
    return ((FrameTimecode(k, 25.0), shot_detection.thumbnail(_planes(frame))) for k, frame in enumerate(shown))


def by_adaptive(shown: Sequence[Array]) -> list[int]:
    """PySceneDetect's AdaptiveDetector at its own thresholds."""
    detector = AdaptiveDetector(min_scene_len=0)
    return [cut.frame_num for time, small in _times(shown) for cut in detector.process_frame(time, small)]


FINDERS: dict[str, Find] = {"vidinv": by_vidinv, "ContentDetector": by_content, "AdaptiveDetector": by_adaptive}


def hits(found: Sequence[int], truth: Sequence[Span]) -> int:
    """How many cuts were found; each frame serves for one."""
    left = list(found)
    count = 0
    for first, last in truth:
        near = [frame for frame in left if first - 1 <= frame <= last + 1]
        if near:
            left.remove(near[0])
            count += 1
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    totals: dict[tuple[str, str], Total] = {}
    for case in cases(sorted(args.folder.glob("*.mp4"))):
        for name, find in FINDERS.items():
            total = totals.setdefault((name, case.kind), Total(name, case.kind))
            found = find(case.shown)
            hit = hits(found, case.truth)
            total.add(case, hit, len(found) - hit)
            if name == "vidinv" and (hit < len(case.truth) or len(found) > hit):
                print(f"{case.kind} {case.name}: {found} for {case.truth}", flush=True)
    rows = [asdict(total) for total in totals.values()]
    for total in totals.values():
        of = f"{total.found:>3} of {total.cuts:>3} cuts, {total.false} false in {total.frames} frames"
        print(f"{total.finder:<18} {total.kind:<10} {of}")
    for name in FINDERS:
        mine = [total for total in totals.values() if total.finder == name]
        cut, found, false = (sum(getattr(total, each) for total in mine) for each in ("cuts", "found", "false"))
        print(f"{name:<18} recall {found / cut:.3f}, precision {found / max(found + false, 1):.3f}")
    if args.json is not None:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
