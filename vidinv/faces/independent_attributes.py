"""Measure attributes with networks that labelled no direction, as an independent check of an edit.

The meter (`vidinv.faces.attribute_meter`) measures mouth, lids, jaw and pose by 106 landmarks. This module measures
mouth, lids and jaw by the parser's regions and the head pose by the detector's five points. Age, gender, glasses and
hair have no second network.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vidinv.faces.detector import Detector, load_detector
from vidinv.faces.embedder import FFHQ_POINTS
from vidinv.faces.parser import CLASSES, FACE, BiSeNet, load_parser
from vidinv.frames import Array

UNITS = {
    "smile": "mouth_width_and_lift_over_crop",
    "yaw": "nose_offset_over_eye_distance",
    "pitch": "nose_height_between_mouth_and_eyes",
    "mouth_open": "parsed_gap_over_mouth_width",
    "eyes_open": "parsed_eye_height_over_crop",
    "chubby": "parsed_jaw_width_over_height",
}
PARSED = 512  # pixels, side of the parser's input crop: at 256 a closed mouth is smaller than its cells
FEWEST = 20  # pixels; the shape of a smaller mouth is not measured
MOUTH = ("mouth", "lip_upper", "lip_lower")


class IndependentMeter:
    """Parser and detector behind one call."""

    def __init__(self, parser: BiSeNet, detector: Detector) -> None:
        self.parser, self.detector = parser, detector

    @torch.inference_mode()
    def measure(self, crops: Tensor) -> dict[str, Array]:
        """Measure FFHQ-aligned crops [N,3,S,S] in [-1,1]: attribute -> values [N], in UNITS; NaN if not visible.

        Signs are as in the meter: positive yaw looks to the picture's right, positive pitch up.
        """
        large = crops.shape[-1] > PARSED
        resized = F.interpolate(crops, (PARSED, PARSED), mode="bilinear", antialias=large, align_corners=False)
        labels = self.parser.parse(resized.clamp(-1, 1), PARSED)
        five = np.stack([self._five(crop) for crop in crops])
        parsed = {
            "smile": smile(labels),
            "mouth_open": mouth_open(labels),
            "eyes_open": eyes_open(labels),
            "chubby": fullness(labels),
        }
        return {name: value.cpu().numpy() for name, value in parsed.items()} | {"yaw": yaw(five), "pitch": pitch(five)}

    def _five(self, crop: Tensor) -> Array:
        """Return the detector's points [5,2] of the face with the highest score, NaN if it finds none.

        The crop is padded by a margin, within which the detector finds every face at the same scale.
        """
        pixels = ((crop.clamp(-1, 1) + 1) * 127.5).byte().permute(1, 2, 0).cpu().numpy()  # CHW -> HWC
        margin = pixels.shape[0] // 2
        found = self.detector.detect(np.pad(pixels, ((margin, margin), (margin, margin), (0, 0))))
        return found.points[0].astype(np.float64) - margin if len(found) else np.full((5, 2), np.nan)


def mouth_open(labels: Tensor) -> Tensor:
    """Return the largest lip gap over the mouth width [N]; labels [N,h,w]."""
    mouth = _is(labels, *MOUTH)
    gap = _is(labels, "mouth").sum(1).amax(1)
    return _known(gap / mouth.amax(1).sum(1).clamp(min=1), mouth)


def smile(labels: Tensor) -> Tensor:
    """Return mouth width plus twice the lift of its corners [N], in sides of the crop; labels [N,h,w]."""
    mouth = _is(labels, *MOUTH)
    across = _ramp(labels, 2)  # [w]
    column = mouth.sum(1)
    middle = (column * across).sum(1) / column.sum(1).clamp(min=1)
    width = mouth.amax(1).mean(1)
    reach = (across - middle[:, None]).abs() / width.clamp(min=1e-6)[:, None]  # [N,w], about 0.5 at the corners
    lift = _depth(mouth, reach < 0.15) - _depth(mouth, reach > 0.35)
    return _known(width + 2 * lift, mouth)


def eyes_open(labels: Tensor) -> Tensor:
    """Return the mean largest opening of both eyes [N], in sides of the crop; 0 if hidden; labels [N,h,w].

    The parser's eye regions are too small to measure the eye's width, by which the meter divides.
    """
    eyes = torch.stack([_is(labels, name).mean(1).amax(1) for name in ("eye_left", "eye_right")])
    return eyes.mean(0)


def fullness(labels: Tensor) -> Tensor:
    """Return the face width at the mouth over its height from eye line to chin [N]; labels [N,h,w]."""
    face, mouth = _is(labels, *(CLASSES[index] for index in FACE)), _is(labels, *MOUTH)
    rows = mouth.amax(2)  # [N,h]: those of the mouth
    width = (face.mean(2) * rows).sum(1) / rows.sum(1).clamp(min=1)
    chin = (face.amax(2) * _ramp(labels, 1)).amax(1)
    return _known(width / (chin - FFHQ_POINTS[0, 1]).clamp(min=0.05), mouth)


def yaw(five: Array) -> Array:
    """Return the nose's offset [N] to the right of the centre of eyes and mouth corners; points [N,5,2]."""
    across, _, distance = _axes(five)
    middle = (five[:, :2].mean(1) + five[:, 3:].mean(1)) / 2
    return ((five[:, 2] - middle) * across).sum(1) / distance


def pitch(five: Array) -> Array:
    """Return the nose's position [N] between the mouth line (0) and the eye line (1); points [N,5,2]."""
    _, down, _ = _axes(five)
    eyes, mouth = five[:, :2].mean(1), five[:, 3:].mean(1)
    return ((mouth - five[:, 2]) * down).sum(1) / ((mouth - eyes) * down).sum(1)


def _axes(five: Array) -> tuple[Array, Array, Array]:
    """Return unit vectors [N,2] along the eyes and down the face, and the eye distance [N]."""
    between = five[:, 1] - five[:, 0]
    distance = np.linalg.norm(between, axis=1)
    across = between / distance[:, None]
    return across, np.stack([-across[:, 1], across[:, 0]], axis=1), distance


def _is(labels: Tensor, *names: str) -> Tensor:
    """Return [N,h,w] with 1 for pixels of one of these classes, else 0."""
    return torch.isin(labels, labels.new_tensor([CLASSES.index(name) for name in names])).float()


def _ramp(labels: Tensor, axis: int) -> Tensor:
    """Return the pixel centres along an axis of labels [N,h,w], in sides of the crop."""
    side = labels.shape[axis]
    return (torch.arange(side, device=labels.device) + 0.5) / side


def _depth(part: Tensor, columns: Tensor) -> Tensor:
    """Return the mean y [N], in sides of the crop, of part [N,h,w] within `columns` [N,w]."""
    row = (part * columns[:, None]).sum(2)  # [N,h]
    return (row * _ramp(part, 1)).sum(1) / row.sum(1).clamp(min=1)


def _known(value: Tensor, mouth: Tensor) -> Tensor:
    return torch.where(mouth.sum((1, 2)) >= FEWEST, value, torch.nan)


def load_independent_meter() -> IndependentMeter:
    """Load parser and detector from the weights cache."""
    return IndependentMeter(load_parser(), load_detector())
