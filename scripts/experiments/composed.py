"""Compose test clips with cuts, crossings, occlusions or blur from other clips; frames are [H,W,3] uint8 RGB.

Occluding objects are drawn with a known alpha, by other methods than those of `trainers/augment/occluders.py`, with
which the network of `vidinv/faces/occlusion.py` was trained.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from vidinv import config as configs
from vidinv.bench.synthetic_clip import make_clip
from vidinv.frames import Array
from vidinv.jobs import video_job
from vidinv.jobs.request import Request

RATE = 25


def arguments(doc: str | None, frames: int) -> argparse.ArgumentParser:
    """What a script takes that edits composed clips; `frames` of each by default."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--quality", default="fast")
    parser.add_argument("--frames", type=int, default=frames)
    parser.add_argument("--edit", default="age+2")
    parser.add_argument("--sheets", type=Path, metavar="FOLDER", help="for pictures to look at")
    parser.add_argument("--json", type=Path)
    return parser


def keep(rows: Sequence[Any], path: Path | None) -> None:
    """Write rows, dataclasses, as JSON where a path is given."""
    if path is not None:
        path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


def frames(path: Path, first: int = 0, count: int = 100) -> list[Array]:
    """The frames of a clip from `first` on, at most `count`."""
    with av.open(str(path)) as container:
        found = []
        for index, frame in enumerate(container.decode(video=0)):
            if index >= first + count:
                break
            if index >= first:
                found.append(frame.to_ndarray(format="rgb24"))
    return found


def write(path: Path, shown: Sequence[Array]) -> Path:
    """A clip of these frames, nearly lossless, 25 a second."""
    height, width = (side // 2 * 2 for side in shown[0].shape[:2])
    return make_clip(
        path,
        size=(width, height),
        frames=len(shown),
        rate=RATE,
        audio=False,
        image=lambda index: shown[index][:height, :width],
        options={"crf": "8"},
    )


def edited(
    source: Path, output: Path, quality: str, edit: str, codes: Path | None = None, *settings: str
) -> tuple[Array, dict[str, Any]]:
    """An edit of a clip, not compressed: its frames [T,H,W,3] and its report."""
    config = configs.with_edits(configs.load_run_config(quality, ["codec=lossless", *settings]), [edit])
    report = video_job.run(Request(source, output, config, codes=codes))
    return np.stack(frames(output, count=10**6)), report


def fitted(frame: Array, width: int, height: int) -> Array:
    """The frame's middle, as large as fits, scaled to `width` x `height`."""
    scale = max(width / frame.shape[1], height / frame.shape[0])
    matrix = np.array([[scale, 0, 0], [0, scale, 0]])
    matrix[:, 2] = np.array([width, height]) / 2 - scale * np.array([frame.shape[1], frame.shape[0]]) / 2
    return cv2.warpAffine(frame, matrix, (width, height), flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def square(path: Path, first: int = 0, count: int = 100, side: int = 480) -> list[Array]:
    """The frames of a clip as squares."""
    return [fitted(frame, side, side) for frame in frames(path, first, count)]


Draw = Callable[[int, float], tuple[Array, Array]]  # side, 0 to 1 of its way -> rgb [side,side,3], alpha [side,side]


def bar(side: int, way: float) -> tuple[Array, Array]:
    """A slanted bar with a grain, from left to right."""
    x = (0.2 + 0.6 * way) * side
    corners = np.array([(x - 0.14 * side, -5), (x + 0.02 * side, -5), (x + 0.14 * side, side + 5), (x, side + 5)])
    alpha = _drawn(side, lambda canvas: cv2.fillPoly(canvas, [np.rint(corners).astype(int)], 1.0))
    grain = np.random.default_rng(7).normal(0, 6, (side, side, 1))
    return np.clip(np.array([70.0, 78, 96]) + grain, 0, 255), alpha


def microphone(side: int, way: float) -> tuple[Array, Array]:
    """A dark ball of wire on a handle that comes from below, before the mouth."""
    x, y = round((0.5 + 0.12 * (way - 0.5)) * side), round((0.74 - 0.05 * np.sin(6 * way)) * side)

    def draw(canvas: Array) -> None:
        cv2.circle(canvas, (x, y), round(0.09 * side), 1.0, -1, cv2.LINE_AA)
        cv2.line(canvas, (x, y), (x + side // 12, side + 20), 1.0, round(0.08 * side), cv2.LINE_AA)

    row, column = np.mgrid[:side, :side]
    wire = 55 + 30 * ((row + column) // 3 % 2) + 40 * np.exp(-((row - y + 0.05 * side) ** 2) / (0.03 * side) ** 2)
    return np.repeat(wire[..., None], 3, 2), _drawn(side, draw)


def hand(colour: Array) -> Draw:
    """A hand of this colour [3] that rises before the cheek and the mouth, with nails, creases and shade."""

    def shown(side: int, way: float) -> tuple[Array, Array]:
        unit = 0.9 * side
        x, y = 0.42 * side + 0.12 * side * way, side * (1.25 - 0.5 * np.sin(np.pi * min(1.0, 0.15 + way)))
        tips = [(-0.19, -0.25), (-0.10, -0.38), (0.0, -0.42), (0.09, -0.36)]
        roots = [(-0.11, -0.03), (-0.05, -0.07), (0.02, -0.07), (0.08, -0.04)]
        lit = np.ones((side, side), np.float32)

        def at(point: tuple[float, float]) -> tuple[int, int]:
            return round(x + point[0] * unit), round(y + point[1] * unit)

        def draw(canvas: Array) -> None:
            palm = [
                at(p) for p in ((-0.14, 0.2), (-0.13, -0.02), (-0.04, -0.1), (0.08, -0.09), (0.12, 0.02), (0.1, 0.2))
            ]
            cv2.fillPoly(canvas, [np.array(palm)], 1.0, cv2.LINE_AA)
            cv2.fillPoly(canvas, [np.array([at((-0.1, 0.15)), at((0.08, 0.15)), at((0.1, 1)), at((-0.12, 1))])], 1.0)
            cv2.line(canvas, at((0.09, 0.08)), at((0.21, -0.06)), 1.0, round(0.06 * unit), cv2.LINE_AA)
            for root, tip in zip(roots, tips, strict=True):
                cv2.line(canvas, at(root), at(tip), 1.0, round(0.06 * unit), cv2.LINE_AA)

        alpha = _drawn(side, draw)
        for root, tip in zip(roots, tips, strict=True):
            a, b = np.array(at(root)), np.array(at(tip))
            for share in (0.35, 0.65):  # creases across the finger
                middle, across = a + share * (b - a), np.array([b[1] - a[1], a[0] - b[0]]) * 0.09
                cv2.line(
                    lit,
                    tuple(np.rint(middle - across).astype(int)),
                    tuple(np.rint(middle + across).astype(int)),
                    0.8,
                    2,
                )
            cv2.circle(lit, tuple(b.tolist()), round(0.018 * unit), 1.12, -1)
        depth = cv2.distanceTransform((alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
        shade = cv2.GaussianBlur(lit, (0, 0), 1.2) * (1 - 0.35 * np.exp(-depth / (0.012 * side)))
        grain = np.random.default_rng(3).normal(1, 0.015, (side, side))
        return np.clip(colour * (shade * grain)[..., None], 0, 255), alpha

    return shown


def _drawn(side: int, draw: Callable[[Array], object]) -> Array:
    """What `draw` paints on an empty canvas, with a soft edge."""
    canvas = np.zeros((side, side), np.float32)
    draw(canvas)
    return np.clip(cv2.GaussianBlur(canvas, (0, 0), 0.8), 0, 1)


def put(frame: Array, rgb: Array, alpha: Array, left: int, top: int) -> tuple[Array, Array]:
    """`frame` with a square picture laid over it, its corner at (left, top), and the alpha [H,W] of what was laid."""
    shift = np.array([[1.0, 0, left], [0, 1.0, top]])
    size = (frame.shape[1], frame.shape[0])
    over = cv2.warpAffine(rgb.astype(np.float32), shift, size)
    weight = cv2.warpAffine(alpha.astype(np.float32), shift, size)
    return np.rint(frame + weight[..., None] * (over - frame)).astype(np.uint8), weight
