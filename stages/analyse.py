"""The first pass: decode the whole clip, find faces and cuts, link the faces into tracks, smooth their crops.

What was found is written in shards as it goes, so that a killed job continues from the last one. Shards hold faces:
they live in the job folder and go with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from scenedetect import FrameTimecode
from scenedetect.detectors import ContentDetector

from stages.parts import Found, Locate
from vidinv.config import RunConfig
from vidinv.frames import Array, Display, FrameBatch, Planes, Shot
from vidinv.media import colour as colours

SHARD_FRAMES = 256
CUT_WIDTH = 160  # pixels, width at which cuts are looked for


@dataclass(frozen=True)
class Sightings:
    """Everything seen in the clip, before linking: per frame its pts, and per face its frame and geometry."""

    pts: tuple[int, ...]  # [T]
    time_base: Fraction
    shots: tuple[Shot, ...]
    frame: Array  # [M] frame index of each face
    faces: Found  # [M] faces, in the picture with square pixels and not mirrored
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
) -> Sightings:
    """Look at every frame of `frames(first)`, or continue after the shards already in `folder`.

    `locate` None looks for cuts alone. `only` (start, stop in seconds from the first frame) restricts where
    faces are looked for.
    """
    shards = _Shards(folder)
    start = shards.next_frame
    done(start)
    previous = max(start - 1, 0)  # the frame before the first new one, so that a cut between them is seen
    cuts = ContentDetector(threshold=config.cut_threshold, min_scene_len=0)
    last: Found | None = None
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
                last = found = locate(_as_shown(_bytes(native, batch), batch.display), rotation, known)
            shards.add(index, pts, batch.time_base, cut or index == 0, found, to_coded(batch.display, native.width))
            done(1)
    shards.flush()
    return shards.load()


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


class _Shards:
    """Sightings on the disk: `analysis-<first frame>.npz`, each written whole; a gap ends what is trusted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths: list[Path] = []
        self.next_frame = 0
        self.origin: int | None = None  # pts of the clip's first frame
        while (path := folder / f"analysis-{self.next_frame:07d}.npz").exists():
            self.paths.append(path)
            with np.load(path) as shard:
                self.next_frame += len(shard["pts"])
                self.origin = int(shard["pts"][0]) if self.origin is None else self.origin
        self.first = self.next_frame
        self.pts: list[int] = []
        self.cuts: list[int] = []
        self.frame: list[int] = []
        self.found: list[Found] = []

    def add(
        self, index: int, pts: int, time_base: Fraction, starts_shot: bool, found: Found | None, to_coded: Array
    ) -> None:
        if self.pts and (starts_shot or len(self.pts) >= SHARD_FRAMES):
            self.flush()
        self.time_base, self.to_coded = time_base, to_coded
        self.origin = pts if self.origin is None else self.origin
        self.pts.append(pts)
        if starts_shot:
            self.cuts.append(index)
        if found is not None and len(found.scores):
            self.frame += [index] * len(found.scores)
            self.found.append(found)

    def second(self, pts: int, time_base: Fraction) -> float:
        """Seconds from the clip's first frame."""
        return float((pts - (pts if self.origin is None else self.origin)) * time_base)

    def flush(self) -> None:
        if not self.pts:
            return
        path = self.folder / f"analysis-{self.first:07d}.npz"
        partial = path.with_suffix(".tmp.npz")
        base = [self.time_base.numerator, self.time_base.denominator]
        times = {"pts": self.pts, "cuts": self.cuts, "time_base": base, "frame": self.frame, "to_coded": self.to_coded}
        np.savez(partial, **times, **_stack(self.found))  # type: ignore[arg-type]
        partial.replace(path)
        self.paths.append(path)
        self.first += len(self.pts)
        self.pts, self.cuts, self.frame, self.found = [], [], [], []

    def load(self) -> Sightings:
        pts: list[int] = []
        cuts: list[int] = []
        frame: list[int] = []
        found: list[Found] = []
        base, to_coded = Fraction(1), np.eye(2, 3)
        for path in self.paths:
            with np.load(path) as shard:
                pts += shard["pts"].tolist()
                cuts += shard["cuts"].tolist()
                frame += shard["frame"].astype(int).tolist()
                base, to_coded = Fraction(*shard["time_base"].tolist()), shard["to_coded"]
                if len(shard["frame"]):
                    found.append(Found(*(shard[name] for name in _FIELDS)))
        ends = [*cuts[1:], len(pts)]
        shots = tuple(Shot(first, stop) for first, stop in zip(cuts, ends, strict=True))
        faces = Found(**_stack(found)) if found else Found(*(np.zeros((0, 1)),) * 4)
        summary = {"frames": len(pts), "shots": [[s.start, s.stop] for s in shots], "faces": len(frame)}
        (self.folder / "analysis.json").write_text(json.dumps(summary), encoding="utf-8")
        return Sightings(tuple(pts), base, shots, np.array(frame, int), faces, to_coded)


_FIELDS = ("boxes", "scores", "landmarks", "embeddings")


def _stack(found: list[Found]) -> dict[str, Array]:
    return {name: np.concatenate([getattr(f, name) for f in found]) for name in _FIELDS} if found else {}
