"""The first pass: decode the whole clip, find faces and cuts, link the faces into tracks, smooth their crops.

What was found is written in shards as it goes (`vidinv/analysis/detection_cache.py`), so that a killed job continues from the last one.
Two frames are looked at at once: the networks are small, and one alone leaves a core idle.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from vidinv.analysis import ordered_pool, shot_detection
from vidinv.analysis.detection_cache import Faces, Shards
from vidinv.analysis.given_boxes import Boxes
from vidinv.backends.interface import Locate, LocatedFaces
from vidinv.config import RunConfig
from vidinv.faces import framing
from vidinv.frames import Array, Display, FrameBatch, Planes, Shot
from vidinv.media import colour as colours
from vidinv.process import restored_threads, use_threads

FOREHEAD = 0.34  # of the landmarks' height, how far the detector's boxes reach above them (mean over seven clips)


@dataclass(frozen=True)
class Sightings:
    """Everything seen in the clip, before linking: each frame's pts and faces."""

    pts: tuple[int, ...]  # [T]
    time_base: Fraction
    shots: tuple[Shot, ...]
    faces: Sequence[LocatedFaces | None]  # [T], in the picture with square pixels and not mirrored; go through in order
    to_coded: Array = field(
        default_factory=lambda: np.eye(2, 3)
    )  # [2,3] from that picture's pixel centres to the coded one's


def analyse(
    frames: Callable[[int], Iterator[FrameBatch]],
    locate: Locate | None,
    folder: Path,
    config: RunConfig,
    rotation: int,
    done: Callable[[int], None],
    only: tuple[float, float] | None = None,
    given: Boxes | None = None,
) -> Sightings:
    """Look at every frame of `frames(first)`, or continue after the shards already in `folder`.

    `locate` None looks for cuts alone. `only` (start, stop in seconds from the first frame) restricts where
    faces are looked for; where boxes are `given`, nothing else is looked for.
    """
    shards = Shards(folder)
    start = shards.next_frame
    done(start)
    watch, recent = shot_detection.Watch(), deque[float](maxlen=shot_detection.AROUND + 1)
    last = None if shards.last is None else ordered_pool.known(shards.last)
    first = shards.pts[0] if shards.pts else None  # pts of the clip's first frame

    def keep(add: Callable[[LocatedFaces | None], None], found: Future[LocatedFaces] | None) -> None:
        add(None if found is None else found.result())
        done(1)

    count = 2 if config.threads > 1 else 1
    with (
        restored_threads() as threads,
        ordered_pool.InOrder(keep, count, partial(use_threads, max(threads // count, 1))) as looked,
    ):
        for batch in frames(
            max(start - shot_detection.LAG, 0)
        ):  # those before the first new one, which its change depends on
            for position, index in enumerate(batch.index):
                native, pts = batch.native[position], batch.pts[position]
                change = watch.look(native)
                recent.append(change.sudden)
                if index < start:
                    continue
                first = pts if first is None else first
                is_new = shot_detection.is_new(list(recent), config.cut_threshold)
                last = None if is_new else last
                inside = only is None or only[0] <= float((pts - first) * batch.time_base) < only[1]
                found: Future[LocatedFaces] | None = None
                if locate is not None and inside:
                    is_searched = index % config.detect_every == 0
                    known = None if last is None or is_searched else _boxes(last.result(), rotation)
                    picture = _as_shown(_bytes(native, batch), batch.display)
                    last = found = looked.submit(seen, locate, given, index, picture, rotation, known)
                where = to_coded(batch.display, native.width)
                looked.add(partial(shards.add, index, pts, batch.time_base, change, is_new, to_coded=where), found)
    shards.flush()
    return _seen(shards, config.cut_threshold)


def seen(
    locate: Locate, given: Boxes | None, index: int, picture: Array, rotation: int, known: Array | None = None
) -> LocatedFaces:
    """What is on frame `index`, a `picture` [H,W,3]: in the boxes that are given for it, else where `locate` looks."""
    if given is None:
        return locate(picture, rotation, known)
    return given.named(index, locate(picture, rotation, given.at(index, picture.shape[:2], rotation)))


def _seen(shards: Shards, cut_threshold: float) -> Sightings:
    starts = shot_detection.starts(np.concatenate(shards.changes), cut_threshold) if shards.changes else []
    shots = tuple(Shot(first, stop) for first, stop in itertools.pairwise([*starts, shards.next_frame]))
    return Sightings(tuple(shards.pts), shards.time_base, shots, Faces(shards), shards.to_coded)


def _boxes(last: LocatedFaces, rotation: int) -> Array:
    """Boxes [N,4] around the last landmarks [N,P,2], as the detector would draw them: where faces are looked for next.

    Landmarks end at the brows, the detector's boxes above the forehead; `rotation` says which side of the coded picture
    that is. What has a box's corners for landmarks stays where it was.
    """
    if last.landmarks.shape[1] == framing.CORNERS:
        return last.boxes
    low, high = last.landmarks.min(1), last.landmarks.max(1)  # [N,2] each
    side, axis = {0: (low, 1), 90: (low, 0), 180: (high, 1), 270: (high, 0)}[rotation % 360]
    side[:, axis] += FOREHEAD * (high - low)[:, axis] * (-1 if side is low else 1)
    return np.concatenate([low, high], axis=1).astype(np.float32).reshape(-1, 4)


def _as_shown(rgb: Array, display: Display) -> Array:
    """The picture [H,W,3] with square pixels and not mirrored; not turned, which is the detector's part."""
    if display.pixel_aspect != 1:
        height, width = rgb.shape[:2]
        rgb = cv2.resize(rgb, (round(width * display.pixel_aspect), height), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(rgb[:, ::-1]) if display.is_mirrored else rgb


def to_coded(display: Display, width: int) -> Array:
    """[2,3] from pixel centres of the picture that `_as_shown` makes to those of the coded one, `width` wide."""
    shown = round(width * display.pixel_aspect)
    step = width / shown
    if display.is_mirrored:
        return np.array([[-step, 0, (shown - 0.5) * step - 0.5], [0, 1.0, 0]])
    return np.array([[step, 0, 0.5 * step - 0.5], [0, 1.0, 0]])


def _bytes(native: Planes, batch: FrameBatch) -> Array:
    """The whole frame as uint8 RGB: only to look at, never to write."""
    return np.rint(colours.to_rgb(native, batch.colour) * 255).astype(np.uint8)
