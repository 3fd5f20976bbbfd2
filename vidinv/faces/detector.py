"""Detect faces with SCRFD-500M: boxes, scores and five points (eyes, nose, mouth corners) in frame pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from vidinv.faces.onnx_graph.network import GraphNetwork
from vidinv.frames import Array
from vidinv.weights import cache

STRIDES = (8, 16, 32)
ANCHORS = 2
SHRINK = (0.5, 0.25)  # shares of the input side for further searches if nothing is found at full size


@dataclass(frozen=True)
class DetectedFaces:
    """N faces of one image, best score first, in its pixels.

    `boxes` [N,4] float32 x0,y0,x1,y1; `scores` [N] in [0,1]; `points` [N,5,2] float32: the eyes (left in the picture
    first), nose tip, mouth corners (left first).
    """

    boxes: Array
    scores: Array
    points: Array

    def __len__(self) -> int:
        return len(self.scores)


class Detector:
    """SCRFD on one image at a time; `threshold` is the minimum score, `size` the input side (a multiple of 32)."""

    def __init__(self, network: GraphNetwork, *, size: int = 640, threshold: float = 0.5, overlap: float = 0.4) -> None:
        if size % 32:
            raise ValueError(f"the detector's input side must be a multiple of 32, got {size}")
        self.network = network
        self.size = size
        self.threshold = threshold
        self.overlap = overlap

    @torch.inference_mode()
    def detect(self, image: Array, *, rotation: int = 0) -> DetectedFaces:
        """Detect the faces of an RGB image [h,w,3], uint8 or float in [-1,1].

        `rotation` (0, 90, 180, 270 or their negatives) is the counter-clockwise rotation that makes the coded frame
        upright, as in FFmpeg's display matrix; the results are in coded pixels. A face that fills the frame is missed
        at full size: if nothing is found, the image is shrunk, padded and searched again.
        """
        if image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"the detector takes [h,w,3] images, got {image.shape}")
        height, width = image.shape[:2]
        upright = np.rot90(to_bytes(image), (rotation // 90) % 4)
        for share in (1.0, *SHRINK):
            found = self._search(upright, share)
            if len(found):
                break
        boxes, points = found.boxes.reshape(-1, 2, 2), found.points
        boxes, points = (coded_points(item, rotation, width, height) for item in (boxes, points))
        boxes = np.concatenate([boxes.min(1), boxes.max(1)], axis=1)
        return DetectedFaces(boxes.astype(np.float32), found.scores, points.astype(np.float32))

    def _search(self, image: Array, share: float) -> DetectedFaces:
        """Letterbox the image into `share` of the input, in its middle if less than all, and decode."""
        height, width = image.shape[:2]
        scale = self.size * share / max(height, width)
        small_w, small_h = max(1, round(width * scale)), max(1, round(height * scale))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = cv2.resize(np.ascontiguousarray(image), (small_w, small_h), interpolation=method)
        left, top = ((self.size - small_w) // 2, (self.size - small_h) // 2) if share < 1 else (0, 0)
        canvas = np.zeros((self.size, self.size, 3), np.uint8)
        canvas[top : top + small_h, left : left + small_w] = small
        device = next(self.network.parameters()).device
        x = torch.from_numpy(canvas).to(device).permute(2, 0, 1)[None].float()
        outputs = [item[0].float().cpu().numpy() for item in self.network((x - 127.5) / 128)]
        boxes, scores, points = decode(outputs, self.size, self.threshold)
        kept = suppress(boxes, scores, self.overlap)
        offset = np.array([left, top], np.float32)
        boxes = ((boxes[kept].reshape(-1, 2, 2) - offset) / scale).reshape(-1, 4)
        return DetectedFaces(boxes, scores[kept], (points[kept] - offset) / scale)


def to_bytes(image: Array) -> Array:
    """Convert uint8, or float in [-1,1], to uint8 in [0,255]."""
    if image.dtype == np.uint8:
        return image
    return np.clip(np.rint((image.astype(np.float32) + 1) * 127.5), 0, 255).astype(np.uint8)


def decode(outputs: list[Array], size: int, threshold: float) -> tuple[Array, Array, Array]:
    """Decode outputs (scores, boxes, points for strides 8, 16, 32) to boxes [N,4], scores [N], points [N,5,2].

    Each location has two anchors at (column, row) * stride; distances are in units of the stride.
    """
    boxes, scores, points = [], [], []
    for level, stride in enumerate(STRIDES):
        score, distance, offset = (outputs[level + 3 * part] for part in range(3))
        chosen = np.flatnonzero(score[:, 0] >= threshold)
        cells = size // stride
        centre = np.stack([chosen // ANCHORS % cells, chosen // ANCHORS // cells], axis=1) * float(stride)
        reach = distance[chosen] * stride
        boxes.append(np.concatenate([centre - reach[:, :2], centre + reach[:, 2:]], axis=1))
        scores.append(score[chosen, 0])
        points.append(centre[:, None] + offset[chosen].reshape(-1, 5, 2) * stride)
    return _joined(boxes), _joined(scores), _joined(points)


def _joined(levels: list[Array]) -> Array:
    return np.concatenate(levels).astype(np.float32)


def suppress(boxes: Array, scores: Array, overlap: float) -> Array:
    """Return the indices kept by non-maximum suppression (IoU above `overlap` suppresses), best first."""
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order):
        best, order = int(order[0]), order[1:]
        kept.append(best)
        order = order[intersection_over_union(boxes[best : best + 1], boxes[order])[0] <= overlap]
    return np.array(kept, dtype=np.int64)


def intersection_over_union(a: Array, b: Array) -> Array:
    """Return the IoU [N,M] of boxes [N,4] and [M,4]."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    area_a, area_b = ((x[:, 2:] - x[:, :2]).prod(-1) for x in (a, b))
    return shared / np.maximum(area_a[:, None] + area_b[None] - shared, 1e-9)


def coded_points(points: Array, rotation: int, width: int, height: int) -> Array:
    """Map (x, y) of the upright picture back to the coded frame of `width` x `height` samples."""
    x, y = points[..., 0], points[..., 1]
    turns = (rotation // 90) % 4
    if turns == 1:
        x, y = width - 1 - y, x
    elif turns == 2:
        x, y = width - 1 - x, height - 1 - y
    elif turns == 3:
        x, y = y, height - 1 - x
    return np.stack([x, y], axis=-1)


def load_detector(
    path: str | Path | None = None, *, size: int = 640, threshold: float = 0.5, overlap: float = 0.4
) -> Detector:
    """Load the detector from the weights cache, or from a safetensors file."""
    network = GraphNetwork.load(path or cache.path("detector/scrfd-500m"))
    return Detector(network, size=size, threshold=threshold, overlap=overlap)
