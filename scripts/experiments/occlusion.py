"""Measure how much of an occluding object an edit leaves unchanged, and how much of the edit a clear face keeps.

python -m scripts.experiments.occlusion CLIP... [--quality fast] [--frames 24] [--edit age+2] [--sheets FOLDER]
    [--json FILE]

A bar, a hand of the person's own colour and a microphone are laid over each clip with a known alpha. Counted are their
pixels (alpha above .9) where the edit of the clear clip changes something by more than 3 levels: the share that stays
within 3 of the source, with the network of `vidinv/faces/occlusion.py` and without. And on the clear clip, how much
smaller the whole change is with it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from scripts.experiments import composed
from vidinv.backends import registry as backends
from vidinv.faces import alignment, similarity
from vidinv.faces.landmarks import five_points
from vidinv.frames import Array
from vidinv.media import picture
from vidinv.media.image_grid import image_grid
from vidinv.process import tune_process

LEVELS, INSIDE = 3, 0.9
OFF = "mask.occlusion=0"


@dataclass(frozen=True)
class OcclusionRow:
    """One clip with one thing before it."""

    clip: str
    thing: str
    pixels: int  # a frame, of the thing where the edit would show
    kept: float  # share of them
    kept_without: float  # with the network off
    kept_of_all: float  # of all the thing's pixels
    change: float  # of the clear face, with the network, in shares of that without


def main() -> None:
    args = composed.arguments(__doc__, frames=24).parse_args()
    tune_process()
    rows = []
    for clip in args.clips:
        rows += measured(clip, args.quality, args.frames, args.edit, args.sheets)
    composed.keep(rows, args.json)


def measured(clip: Path, quality: str, count: int, edit: str, sheets: Path | None) -> list[OcclusionRow]:
    """The rows of one clip, printed as they come."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        shown = composed.frames(clip, count=count)
        clear = _edited(Path(folder) / "clear.mkv", shown, quality, edit)
        on, off = (np.abs(made.astype(int) - clear[0]) for made in clear[1:])
        shows = off.max(-1) > LEVELS  # [T,H,W]
        place, colour = face(clear[0][0])
        things = {"bar": composed.bar, "hand": composed.hand(colour), "microphone": composed.microphone}
        for name, draw in things.items():
            laid, alphas = zip(*over(shown, draw, place), strict=True)
            source, made, without = _edited(Path(folder) / f"{name}.mkv", laid, quality, edit)
            solid = np.stack(alphas)[:, : source.shape[1], : source.shape[2]] > INSIDE
            stays = [np.abs(each.astype(int) - source).max(-1) <= LEVELS for each in (made, without)]
            hit = solid & shows
            row = OcclusionRow(
                clip.stem,
                name,
                round(hit.sum() / len(hit)),
                round(float(stays[0][hit].mean()), 4),
                round(float(stays[1][hit].mean()), 4),
                round(float(stays[0][solid].mean()), 4),
                round(float(on.sum() / off.sum()), 4),
            )
            print(
                f"{row.clip:<8} {row.thing:<11} {row.pixels:>6} pixels a frame where the edit would show: kept "
                f"{row.kept:.1%} (without {row.kept_without:.1%}), of all {row.kept_of_all:.1%}; "
                f"clear face {row.change:.1%} of the edit",
                flush=True,
            )
            rows.append(row)
            if sheets is not None:
                sheet(sheets / f"{clip.stem}-{name}-{quality}.png", source, without, made)
    return rows


def over(shown: Sequence[Array], draw: composed.Draw, place: Array) -> list[tuple[Array, Array]]:
    """The frames with a thing that moves over the crop `place` [2,3] of a unit square, and its alpha on each."""
    side = round(similarity.scale(place))
    left, top = (round(each) for each in place[:, 2])
    return [composed.put(frame, *draw(side, k / max(len(shown) - 1, 1)), left, top) for k, frame in enumerate(shown)]


def face(rgb: Array) -> tuple[Array, Array]:
    """The upright crop [2,3] of a unit square around the largest face, and the colour [3] of its cheek."""
    faces = backends.choose_backend("default").locator("2d106")(rgb, 0, None)
    to_frame = alignment.to_frame(faces.landmarks[0], 1)
    side = similarity.scale(to_frame)
    middle = to_frame[:, 2]
    eyes, nose = five_points(faces.landmarks[0])[:2], faces.landmarks[0][86]
    x, y = np.rint((eyes[0] + nose) / 2).astype(int)
    reach = max(2, round(0.02 * side))
    colour = np.median(rgb[y : y + 2 * reach, x - reach : x + reach].reshape(-1, 3), axis=0)
    return np.array([[side, 0, middle[0] - side / 2], [0, side, middle[1] - side / 2]]), colour


def _edited(path: Path, shown: Sequence[Array], quality: str, edit: str) -> tuple[Array, Array, Array]:
    """Source, edit and edit without the network, [T,H,W,3] each; both edits are of the same codes."""
    source = composed.write(path, shown)
    codes = path.with_suffix(".safetensors")
    made, _ = composed.edited(source, path.with_suffix(".on.mkv"), quality, edit, codes)
    without, _ = composed.edited(source, path.with_suffix(".off.mkv"), quality, edit, codes, OFF)
    return np.stack(composed.frames(source)), made, without


def sheet(path: Path, *rows: Array) -> None:
    """Write six frames of each of `rows` [T,H,W,3], one row under the other, at most 2000 pixels wide."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picked = np.linspace(0, len(rows[0]) - 1, 6).astype(int)
    sheet = picture.pixels(image_grid([picture.from_pixels(row[picked]) for row in rows]))
    scale = min(1.0, 2000 / sheet.shape[1])
    small = cv2.resize(sheet, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    picture.write_picture(path, picture.from_pixels(small))


if __name__ == "__main__":
    main()
