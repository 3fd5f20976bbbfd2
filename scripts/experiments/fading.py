"""Measure whether an edit fades smoothly where a face is blurred, occluded or half outside the picture.

python -m scripts.experiments.fading CLIP... [--quality fast] [--frames 60] [--edit age+2] [--sheets FOLDER]
    [--json FILE]

In the middle of each clip, for half a second, the picture is blurred, or a large hand lies over the face; and on a
third copy the camera turns until half of the face is outside. Reported: the confidence, when the edit is flagged as
weak, and the largest step of the edit's size from one frame to the next (mean |output - source| over the face, of 255)
around what happens and elsewhere. For the face at the border: the edit's size on the outermost column, in shares of the
columns beside it: 1 where nothing ends there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from scripts.experiments import composed, occlusion
from vidinv.frames import Array
from vidinv.process import tune_process

HALF, SOFT = 12, 4  # frames: half a second, and what a blur takes to come and to go


@dataclass(frozen=True)
class FadingRow:
    """One composed clip."""

    clip: str
    kind: str
    confidence_min: float
    confidence_middle: float  # on the frame in the middle of what happens
    weak_s: list[float]  # from, to of what the report flags as low_confidence
    size: float  # of the edit on the frames before
    size_middle: float
    step: float  # largest from one frame to the next, from a fade before to a fade after
    step_outside: float  # on the other frames
    border: float | None = None


def shown(kind: str, plain: Sequence[Array], first: int) -> list[Array]:
    """The frames with what happens from `first` on."""
    place, colour = occlusion.face(plain[0])
    made = []
    for k, frame in enumerate(plain):
        inside = first <= k < first + HALF
        if kind == "blurred" and inside:
            share = min(k - first + 1, first + HALF - k, SOFT) / SOFT  # at once, it would be taken for a cut
            made.append(cv2.GaussianBlur(frame, (0, 0), share * frame.shape[1] / 40))
        elif kind == "hand" and inside:
            side = round(1.5 * place[0, 0])
            left, top = (round(each) for each in place[:, 2] - 0.2 * place[0, 0])
            made.append(composed.put(frame, *composed.hand(colour)(side, (k - first) / HALF), left, top)[0])
        elif kind == "border":
            step = (place[0, 2] + place[0, 0] / 2) / (len(plain) - 10)  # the face's middle at the left border
            made.append(_moved(frame, min(k, len(plain) - 10) * step))
        else:
            made.append(frame)
    return made


def _moved(frame: Array, left: float) -> Array:
    shift = np.array([[1.0, 0, -left], [0, 1.0, 0]])
    return cv2.warpAffine(frame, shift, (frame.shape[1], frame.shape[0]), borderMode=cv2.BORDER_REFLECT)


def measured(clip: Path, kind: str, quality: str, frames: int, edit: str, sheets: Path | None) -> FadingRow:
    """The row of one clip and kind."""
    plain = composed.frames(clip, count=frames)
    first = len(plain) // 2 - HALF // 2
    with tempfile.TemporaryDirectory() as folder:
        source = composed.write(Path(folder) / "clip.mkv", shown(kind, plain, first))
        output, report = composed.edited(source, Path(folder) / "made.mkv", quality, edit)
        given = np.stack(composed.frames(source, count=frames))
    change = np.abs(output.astype(float) - given).mean(-1)  # [T,H,W]
    columns = report["identity"]["tracks"][0]["per_frame"]
    confidence = dict(zip(columns["frame"], columns["confidence"], strict=True))
    x0, y0, x1, y1 = (round(each) for each in _box(plain[0]))
    sizes = change[:, max(0, y0) : y1, max(0, x0) : x1].mean((1, 2))
    steps = np.abs(np.diff(sizes))
    near = np.zeros(len(steps), bool)
    near[first - 8 : first + HALF + 8] = True
    if sheets is not None:
        occlusion.sheet(sheets / f"{clip.stem}-{kind}-{quality}.png", given, output)
    weak = [flag for flag in report["flags"] if flag["kind"] == "low_confidence"]
    return FadingRow(
        clip.stem,
        kind,
        round(min(confidence.values()), 3),
        round(confidence.get(first + HALF // 2, 0.0), 3),
        [each for flag in weak for each in (flag["from_s"], flag["to_s"])],
        round(float(sizes[: first - 8].mean()), 2),
        round(float(sizes[first + HALF // 2]), 2),
        round(float(steps[near].max()), 2),
        round(float(steps[~near].max()), 2),
        _at_border(change[-8:]) if kind == "border" else None,
    )


def _box(rgb: Array) -> Array:
    place, _ = occlusion.face(rgb)
    side, middle = place[0, 0], place[:, 2] + place[0, 0] / 2
    return np.concatenate([middle - 0.3 * side, middle + 0.35 * side])


def _at_border(change: Array) -> float:
    """The edit's size on the leftmost column, of its mean on the next eight, where it shows."""
    rows = change[:, :, 1:9].mean(2) > 1
    return round(float(change[:, :, 0][rows].mean() / change[:, :, 1:9].mean(2)[rows].mean()), 3)


def main() -> None:
    parser = composed.arguments(__doc__, frames=60)
    parser.add_argument("--kinds", nargs="+", default=["blurred", "hand", "border"])
    args = parser.parse_args()
    tune_process()
    rows = []
    for clip in args.clips:
        for kind in args.kinds:
            row = measured(clip, kind, args.quality, args.frames, args.edit, args.sheets)
            rows.append(row)
            border = "" if row.border is None else f"; at the border {row.border:.2f} of the columns beside"
            print(
                f"{row.clip:<8} {kind:<8} confidence {row.confidence_middle:.2f} in the middle, least "
                f"{row.confidence_min:.2f}, weak {row.weak_s} s; edit {row.size:.2f} levels, then "
                f"{row.size_middle:.2f}, largest step {row.step:.2f} (elsewhere {row.step_outside:.2f}){border}",
                flush=True,
            )
    composed.keep(rows, args.json)


if __name__ == "__main__":
    main()
