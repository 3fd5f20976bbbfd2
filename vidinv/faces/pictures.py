"""Read aligned face crops from pictures and clips in files or folders, for measurements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from vidinv.errors import InputUnreadable
from vidinv.faces import alignment
from vidinv.faces.detector import Detector
from vidinv.faces.landmarks import Landmarker
from vidinv.frames import Array, FrameBatch
from vidinv.media import picture_file, probe, reader
from vidinv.media.colour import to_rgb

CLIPS = frozenset({".mp4", ".mkv", ".mov", ".webm", ".avi"})
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})


@dataclass(frozen=True)
class Finder:
    """A face detector and a landmark network."""

    detect: Detector
    points: Landmarker


def files(paths: list[Path]) -> list[Path]:
    """List the pictures and clips in `paths` and their folders, in order. Raises InputUnreadable if there is none."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        found += [entry for entry in inside if entry.suffix.lower() in CLIPS | PICTURES]
    if not found:
        raise InputUnreadable(
            f"no picture or clip in {', '.join(map(str, paths))}", remedy="give files, or a folder that holds some"
        )
    return found


def is_clip(path: Path) -> bool:
    """Return whether the file name has a video suffix."""
    return path.suffix.lower() in CLIPS


def frames(path: Path, count: int) -> Iterator[Array]:
    """Yield RGB uint8 [H,W,3]: the picture, or `count` frames spread evenly over the clip."""
    if not is_clip(path):
        yield picture_file.read_rgb(path)
        return
    total = probe.probe(path).frame_count
    wanted = {int((k + 0.5) * total / count) for k in range(count)}
    for batch in reader.read_frames(path, batch=1):
        if batch.index[0] in wanted:
            yield picture(batch)


def picture(batch: FrameBatch) -> Array:
    """Return the batch's whole first frame as RGB uint8 [H,W,3]."""
    planes = batch.native[0]
    rgb = to_rgb(planes, batch.colour, (0, 0, planes.width, planes.height))
    return np.rint(rgb * 255).astype(np.uint8)


def crops(path: Path, count: int, size: int, finder: Finder | None) -> Iterator[Tensor]:
    """Yield the largest face of each frame, FFHQ-aligned, [1,3,size,size] in [-1,1]; frames without a face are skipped.

    Without a `finder` the pictures are assumed to be aligned.
    """
    turn = -probe.probe(path).rotation if is_clip(path) else 0  # the detector counts counter-clockwise
    for rgb in frames(path, count):
        if finder is None:
            yield _tensor(cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255)
            continue
        to_frame = largest(rgb, finder, turn, size)
        if to_frame is not None:
            yield _tensor(alignment.warp_cpu(rgb.astype(np.float32) / 255, to_frame, size))


def largest(rgb: Array, finder: Finder, turn: int, size: int) -> Array | None:
    """Return the crop-to-frame transform [2,3] of the frame's largest face, or None; `turn` makes the frame upright."""
    boxes = finder.detect.detect(rgb, rotation=turn).boxes
    if not len(boxes):
        return None
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    points = finder.points.detect(rgb, boxes[[int(area.argmax())]], rotation=turn)
    return alignment.to_frame(points[0], size)


def _tensor(picture: Array) -> Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float().mul(2).sub(1).clamp(-1, 1)  # HWC -> 1CHW
