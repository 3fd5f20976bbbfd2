"""The first pass: decode the whole clip, find faces and cuts, link the faces into tracks, smooth their crops.

What was found is written in shards as it goes (`stages/shards.py`), so that a killed job continues from the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from scenedetect import FrameTimecode
from scenedetect.detectors import ContentDetector

from stages.backend import Found, Locate
from stages.boxes import Boxes
from stages.shards import Faces, Shards
from vidinv.config import RunConfig
from vidinv.frames import Array, Display, FrameBatch, Planes, Shot
from vidinv.media import colour as colours

CUT_WIDTH = 160  # pixels, width at which cuts are looked for


@dataclass(frozen=True)
class Sightings:
    """Everything seen in the clip, before linking: each frame's pts and faces."""

    pts: tuple[int, ...]  # [T]
    time_base: Fraction
    shots: tuple[Shot, ...]
    faces: Sequence[Found | None]  # [T], in the picture with square pixels and not mirrored; go through in order
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
    previous = max(start - 1, 0)  # the frame before the first new one, so that a cut between them is seen
    cuts = ContentDetector(threshold=config.cut_threshold, min_scene_len=0)
    last = shards.last
    for batch in frames(previous):
        for position, index in enumerate(batch.index):
            native, pts = batch.native[position], batch.pts[position]
            rate = 25.0  # the detector wants one and never uses it: cuts are counted in frames
            cut = bool(cuts.process_frame(FrameTimecode(index, rate), _thumbnail(native)))
            if index < start:
                continue
            last = None if cut else last
            inside = only is None or only[0] <= shards.second(pts, batch.time_base) < only[1]
            found: Found | None = None
            if locate is not None and inside:
                known = None if last is None or index % config.detect_every == 0 else _boxes(last.landmarks)
                picture = _as_shown(_bytes(native, batch), batch.display)
                last = found = seen(locate, given, index, picture, rotation, known)
            shards.add(index, pts, batch.time_base, cut or index == 0, found, to_coded(batch.display, native.width))
            done(1)
    shards.flush()
    return _seen(shards)


def seen(
    locate: Locate, given: Boxes | None, index: int, picture: Array, rotation: int, known: Array | None = None
) -> Found:
    """What is on frame `index`, a `picture` [H,W,3]: in the boxes that are given for it, else where `locate` looks."""
    if given is None:
        return locate(picture, rotation, known)
    return given.named(index, locate(picture, rotation, given.at(index, picture.shape[:2], rotation)))


def _seen(shards: Shards) -> Sightings:
    ends = [*shards.cuts[1:], shards.next_frame]
    shots = tuple(Shot(first, stop) for first, stop in zip(shards.cuts, ends, strict=True))
    return Sightings(tuple(shards.pts), shards.time_base, shots, Faces(shards), shards.to_coded)


def _thumbnail(native: Planes) -> Array:
    """A small BGR picture of luma and chroma for the cut detector, from strided samples: no conversion of the frame."""
    planes = []
    width = min(CUT_WIDTH, native.width)
    height = max(1, native.height * width // native.width)
    for plane in native.planes[:3]:
        small: Array = cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA)
        planes.append((small >> (native.depth - 8)).astype(np.uint8) if native.depth > 8 else small)
    if len(planes) == 1:
        return cv2.cvtColor(planes[0], cv2.COLOR_GRAY2BGR)
    if native.pix_fmt.startswith("gbr"):
        return np.ascontiguousarray(cv2.merge([planes[1], planes[0], planes[2]]))
    return cv2.cvtColor(cv2.merge([planes[0], planes[2], planes[1]]), cv2.COLOR_YCrCb2BGR)


def _boxes(landmarks: Array) -> Array:
    """Boxes [N,4] around landmarks [N,P,2]: where a face is looked for between detections."""
    return np.concatenate([landmarks.min(1), landmarks.max(1)], axis=1).astype(np.float32).reshape(-1, 4)


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
