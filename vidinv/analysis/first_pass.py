"""First pass: decode the whole clip, measure the change between frames, detect cuts, and locate faces.

`vidinv/analysis/face_tracks.py` links the faces into tracks afterwards. The detections are written in shards during the
pass (`vidinv/analysis/detection_cache.py`), so that a killed job resumes after the last one. Two frames are searched in
parallel, because the networks are small and a single frame leaves a core idle.
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
from vidinv.analysis.detection_cache import CachedFaces, DetectionShards
from vidinv.analysis.given_boxes import Boxes
from vidinv.backends.interface import Locate, LocatedFaces
from vidinv.config import RunConfig
from vidinv.faces import framing
from vidinv.frames import Array, Display, FrameBatch, Planes, Shot
from vidinv.media import colour as colours
from vidinv.process import restored_threads, use_threads

FOREHEAD = 0.34  # the part of a detector's box above the landmarks, in heights of the landmarks (mean of seven clips)


@dataclass(frozen=True)
class Detections:
    """All detections of a clip, before linking: times, shots, and the faces of each frame."""

    pts: tuple[int, ...]  # [T]
    time_base: Fraction
    shots: tuple[Shot, ...]
    faces: Sequence[LocatedFaces | None]  # [T], in the unmirrored picture with square pixels; fast in order only
    to_coded: Array = field(
        default_factory=lambda: np.eye(2, 3)
    )  # [2,3] from that picture's pixel centres to the coded picture's


def analyse(
    frames: Callable[[int], Iterator[FrameBatch]],
    locate: Locate | None,
    folder: Path,
    config: RunConfig,
    rotation: int,
    done: Callable[[int], None],
    only: tuple[float, float] | None = None,
    given: Boxes | None = None,
) -> Detections:
    """Detect cuts and faces on every frame, continuing after the shards that exist in `folder`.

    `frames(first)` returns the decoded frames from index `first`. With `locate` None only cuts are detected. `only`
    (start, stop in seconds from the first frame) limits the face search in time; with `given` boxes the search is
    limited to them. `rotation` in degrees says how a player turns the picture. `done(n)` is called for every n frames
    that are finished.
    """
    shards = DetectionShards(folder)
    start = shards.next_frame
    done(start)
    watch, recent = shot_detection.ChangeMeter(), deque[float](maxlen=shot_detection.AROUND + 1)
    last = None if shards.last is None else ordered_pool.finished(shards.last)
    first = shards.pts[0] if shards.pts else None  # pts of the clip's first frame

    def keep(add: Callable[[LocatedFaces | None], None], found: Future[LocatedFaces] | None) -> None:
        add(None if found is None else found.result())
        done(1)

    count = 2 if config.threads > 1 else 1
    with (
        restored_threads() as threads,
        ordered_pool.OrderedPool(keep, count, partial(use_threads, max(threads // count, 1))) as looked,
    ):
        for batch in frames(max(start - shot_detection.LAG, 0)):  # a frame's change depends on the LAG frames before
            for position, index in enumerate(batch.index):
                native, pts = batch.native[position], batch.pts[position]
                change = watch.look(native)
                recent.append(change.sudden)
                if index < start:
                    continue
                first = pts if first is None else first
                is_new = shot_detection.may_begin_shot(list(recent), config.cut_threshold)
                last = None if is_new else last
                inside = only is None or only[0] <= float((pts - first) * batch.time_base) < only[1]
                found: Future[LocatedFaces] | None = None
                if locate is not None and inside:
                    is_searched = index % config.detect_every == 0
                    known = None if last is None or is_searched else _boxes_around(last.result(), rotation)
                    picture = as_shown(_rgb_bytes(native, batch), batch.display)
                    last = found = looked.submit(locate_in_frame, locate, given, index, picture, rotation, known)
                where = to_coded(batch.display, native.width)
                looked.add(partial(shards.add, index, pts, batch.time_base, change, is_new, to_coded=where), found)
    shards.flush()
    return _collect(shards, config.cut_threshold)


def locate_in_frame(
    locate: Locate, given: Boxes | None, index: int, picture: Array, rotation: int, known: Array | None = None
) -> LocatedFaces:
    """Locate the faces of frame `index`, a `picture` [H,W,3] uint8: in its `given` boxes, else by `locate`.

    `known` are boxes [N,4] in which `locate` searches instead of detecting.
    """
    if given is None:
        return locate(picture, rotation, known)
    return given.named(index, locate(picture, rotation, given.at(index, picture.shape[:2], rotation)))


def _collect(shards: DetectionShards, cut_threshold: float) -> Detections:
    starts = shot_detection.shot_starts(np.concatenate(shards.changes), cut_threshold) if shards.changes else []
    shots = tuple(Shot(first, stop) for first, stop in itertools.pairwise([*starts, shards.next_frame]))
    return Detections(tuple(shards.pts), shards.time_base, shots, CachedFaces(shards), shards.to_coded)


def _boxes_around(last: LocatedFaces, rotation: int) -> Array:
    """Boxes [N,4] around the last landmarks [N,P,2], sized as the detector's, in which the next faces are searched.

    Landmarks end at the eyebrows and a detector's box above the forehead; `rotation` gives the side of the coded
    picture on which the forehead is. Boxes whose landmarks are their own corners are returned unchanged.
    """
    if last.landmarks.shape[1] == framing.CORNERS:
        return last.boxes
    low, high = last.landmarks.min(1), last.landmarks.max(1)  # [N,2] each
    side, axis = {0: (low, 1), 90: (low, 0), 180: (high, 1), 270: (high, 0)}[rotation % 360]
    side[:, axis] += FOREHEAD * (high - low)[:, axis] * (-1 if side is low else 1)
    return np.concatenate([low, high], axis=1).astype(np.float32).reshape(-1, 4)


def as_shown(rgb: Array, display: Display) -> Array:
    """The picture [H,W,3] unmirrored and with square pixels. The detector itself handles the rotation."""
    if display.pixel_aspect != 1:
        height, width = rgb.shape[:2]
        rgb = cv2.resize(rgb, (round(width * display.pixel_aspect), height), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(rgb[:, ::-1]) if display.is_mirrored else rgb


def to_coded(display: Display, width: int) -> Array:
    """[2,3] from pixel centres of the picture that `as_shown` returns to those of the coded picture, `width` wide."""
    shown = round(width * display.pixel_aspect)
    step = width / shown
    if display.is_mirrored:
        return np.array([[-step, 0, (shown - 0.5) * step - 0.5], [0, 1.0, 0]])
    return np.array([[step, 0, 0.5 * step - 0.5], [0, 1.0, 0]])


def _rgb_bytes(native: Planes, batch: FrameBatch) -> Array:
    """The whole frame as uint8 RGB [H,W,3], for detection only; it is never written to the output."""
    return np.rint(colours.to_rgb(native, batch.colour) * 255).astype(np.uint8)
