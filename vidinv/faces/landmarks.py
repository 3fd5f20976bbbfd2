"""Detect facial landmarks: with the 106-point network, or with face-alignment's FAN if its weights are present."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from vidinv.errors import WeightsUnavailable
from vidinv.extras import load_optional
from vidinv.faces import similarity
from vidinv.faces.detector import to_bytes
from vidinv.faces.onnx_graph.network import GraphNetwork
from vidinv.faces.warp import warp_cpu, warp_device
from vidinv.frames import Array
from vidinv.weights import cache

# Index groups of the 106 points; left and right as in the picture.
EYE_LEFT = (33, 35, 36, 37, 39, 40, 41, 42)  # the lid's outline
EYE_RIGHT = (87, 89, 90, 91, 93, 94, 95, 96)
PUPIL_LEFT, PUPIL_RIGHT = 38, 88
NOSE_TIP = 86
MOUTH_LEFT, MOUTH_RIGHT = 52, 61


class Landmarker(Protocol):
    """Interface of a landmark source."""

    def detect(self, image: Array, boxes: Array, *, rotation: int = 0) -> Array:
        """Return landmarks [N,P,2] float32, in pixels of the RGB image [h,w,3], of the faces in boxes [N,4]."""
        ...


class Landmarks106:
    """The 2d106 network on a 192x192 crop around each box; its 106 points are in frame pixels."""

    SIZE = 192
    MARGIN = 1.5  # crop side as a multiple of the box's longer side

    def __init__(self, network: GraphNetwork) -> None:
        self.network = network

    @torch.inference_mode()
    def detect(self, image: Array, boxes: Array, *, rotation: int = 0) -> Array:
        """[N,106,2] float32. `rotation` as in `Detector.detect`: the crops are turned upright for the network."""
        device = next(self.network.parameters()).device

        def points(crops: Tensor) -> Array:
            (out,) = self.network(crops.to(device))
            return (out.float().cpu().numpy().reshape(-1, 106, 2) + 1) * (self.SIZE / 2)

        to_frame = [_box_to_frame(box, self.SIZE, self.MARGIN, rotation) for box in check_boxes(boxes)]
        return detect_in_crops(image, to_frame, self.SIZE, points) if to_frame else np.zeros((0, 106, 2), np.float32)

    def of_crops(self, crops: Tensor, box: Array) -> Tensor:
        """Return points [N,106,2] in pixels of crops [N,3,S,S] in [-1,1] with a face in `box` [4]; differentiable."""
        transform = torch.from_numpy(_box_to_frame(box, self.SIZE, self.MARGIN, 0)).to(crops.device)
        (out,) = self.network(warp_device((crops + 1) * 127.5, transform, self.SIZE))
        points = (out.reshape(-1, 106, 2) + 1) * (self.SIZE / 2)
        return points @ transform[:, :2].T.to(points) + transform[:, 2].to(points)


def check_boxes(boxes: Array) -> Array:
    """Return the boxes. Raises ValueError if they are not [N,4]."""
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes must be [N,4], got {boxes.shape}")
    return boxes


def detect_in_crops(image: Array, to_frame: Sequence[Array], size: int, points: Callable[[Tensor], Array]) -> Array:
    """Apply `points` to square crops of an RGB image [h,w,3]; return float32 [N,P,2] in the image's pixels.

    `to_frame` are the similarities [2,3] from each crop's pixels; `points` maps crops [N,3,size,size] in [0,255] to
    points [N,P,2] in crop pixels.
    """
    pixels = to_bytes(image).astype(np.float32)
    crops = np.stack([warp_cpu(pixels, transform, size) for transform in to_frame])  # [N,size,size,3]
    found = points(torch.from_numpy(crops).permute(0, 3, 1, 2))
    return np.stack([similarity.apply(t, p) for t, p in zip(to_frame, found, strict=True)]).astype(np.float32)


def crop_around_box(box: Array, side: float, size: int, rotation: int, rise: float = 0) -> Array:
    """Return the similarity from an upright size x size crop, `side` frame pixels wide, around the box to coded pixels.

    The crop's centre is `rise` frame pixels above the box's centre, in the upright picture.
    """
    # A step to the right in the upright picture, as a step in the coded frame.
    right = {0: (1, 0), 1: (0, 1), 2: (-1, 0), 3: (0, -1)}[(rotation // 90) % 4]
    a, b = np.array(right, np.float64) * float(side) / size
    linear = np.array([[a, -b], [b, a]])
    centre = np.array([box[0] + box[2], box[1] + box[3]], np.float64) / 2
    middle = np.array([size / 2, size / 2 + rise * size / side])
    return np.concatenate([linear, (centre - linear @ middle)[:, None]], axis=1)


def _box_to_frame(box: Array, size: int, margin: float, rotation: int) -> Array:
    """Return the similarity from an upright crop, `margin` times the box's longer side, to the coded frame's pixels."""
    return crop_around_box(box, max(box[2] - box[0], box[3] - box[1]) * margin, size, rotation)


class FanLandmarks:
    """Landmark source of 68 points by the optional package face_alignment; its weights must be present locally."""

    FILE = "2DFAN4-11f355bf06.pth.tar"

    def __init__(self, device: str = "cpu") -> None:
        face_alignment = load_optional("face_alignment", "the landmark source fan", instead="use --set landmarks=2d106")
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        if not (folder / self.FILE).is_file():
            raise WeightsUnavailable(
                f"face-alignment's weights are not in {folder}",
                remedy=f"put {self.FILE} there, or use the landmark source `2d106`",
            )
        self.network = face_alignment.FaceAlignment(
            face_alignment.LandmarksType.TWO_D,
            device=device,
            flip_input=False,
            face_detector="folder",  # one that loads no network: the boxes are given
            compile=False,
        )

    def detect(self, image: Array, boxes: Array, *, rotation: int = 0) -> Array:
        """[N,68,2] float32; only for frames stored upright."""
        if rotation % 360:
            raise ValueError(f"the landmark source `fan` takes upright frames, got rotation {rotation}")
        if not len(boxes):
            return np.zeros((0, 68, 2), np.float32)
        found = self.network.get_landmarks_from_image(to_bytes(image), detected_faces=boxes.tolist())
        return np.stack(found).astype(np.float32)


def load_landmarks(path: str | Path | None = None) -> Landmarks106:
    """Load the 106-point network from the weights cache, or from a safetensors file."""
    return Landmarks106(GraphNetwork.load(path or cache.path("landmarks/2d106")))


LANDMARKS: dict[str, Callable[[], Landmarker]] = {"2d106": load_landmarks, "fan": FanLandmarks}


def five_points(landmarks: Array) -> Array:
    """Return eye centres, nose tip, mouth corners [5,2] of 106 or 68 landmarks [P,2], float64, in detector order."""
    return np.stack([item.astype(np.float64).mean(0) for item in _five_groups(landmarks)])


def _five_groups(points: Array) -> tuple[Array, ...]:
    if len(points) == 106:
        groups: tuple[tuple[int, ...], ...] = (EYE_LEFT, EYE_RIGHT, (NOSE_TIP,), (MOUTH_LEFT,), (MOUTH_RIGHT,))
    elif len(points) == 68:
        groups = (tuple(range(36, 42)), tuple(range(42, 48)), (30,), (48,), (54,))
    else:
        raise ValueError(f"expected 106 or 68 landmarks, got {points.shape}")
    return tuple(points[list(group)] for group in groups)


# Index among the 106 points of each of the 68 points (300-W order: jaw, brows, nose, eyes, lips).
_JAW = (1, 10, 12, 14, 16, 3, 5, 7, 0, 23, 21, 19, 32, 30, 28, 26, 17)
_BROWS = (43, 48, 49, 51, 50, 102, 103, 104, 105, 101)
_NOSE = (72, 73, 74, 86, 78, 79, 80, 85, 84)
_EYES = (35, 41, 42, 39, 37, 36, 89, 95, 96, 93, 91, 90)
_LIPS = (52, 64, 63, 71, 67, 68, 61, 58, 59, 53, 56, 55, 65, 66, 62, 70, 69, 57, 60, 54)
TO_68 = (*_JAW, *_BROWS, *_NOSE, *_EYES, *_LIPS)


def to68(landmarks: Array) -> Array:
    """Convert 106 landmarks [..., 106, 2] to the 68-point layout [..., 68, 2]."""
    if landmarks.shape[-2:] != (106, 2):
        raise ValueError(f"expected landmarks [..., 106, 2], got {landmarks.shape}")
    return landmarks[..., list(TO_68), :]
