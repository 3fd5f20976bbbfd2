"""Measure attributes of a parsed, aligned crop: glasses, hair length and lightness, bangs, beard, lipstick."""

from __future__ import annotations

import torch
from torch import Tensor

from vidinv.faces.parser import CLASSES, FACE

FOREHEAD = (0.36, 0.20, 0.64, 0.36)  # x0, y0, x1, y1 in units of the crop's side, between hairline and brows
LOWER = (0.0, 0.62, 1.0, 1.0)  # hair over neck and shoulders
JAW = (0.34, 0.66, 0.66, 0.92)  # upper lip, chin and the jaw below the mouth
CHEEKS = (0.26, 0.50, 0.74, 0.64)
OVAL = (0.5, 0.6, 0.17, 0.22)  # x, y, half axes of an ellipse, in units of the crop's side
FEWEST = 20  # pixels; the colour of a smaller area is not measured
Box = tuple[float, float, float, float]


def glasses_area(labels: Tensor) -> Tensor:
    """Return the share [N] of eyeglass pixels in an aligned crop; labels [N,h,w]. Above 0.01 glasses are worn."""
    return _is(labels, "glasses").float().mean((1, 2))


def bangs(labels: Tensor) -> Tensor:
    """Return the share [N] of the forehead covered by hair; labels [N,h,w]."""
    return (_is(labels, "hair") & _inside(labels, FOREHEAD)).float().sum((1, 2)) / _inside(labels, FOREHEAD).sum()


def hair_length(labels: Tensor) -> Tensor:
    """Return the share [N] of hair in the crop's lower part; labels [N,h,w]."""
    return (_is(labels, "hair") & _inside(labels, LOWER)).float().sum((1, 2)) / _inside(labels, LOWER).sum()


def hair_lightness(images: Tensor, labels: Tensor) -> Tensor:
    """Return the mean luma [N] in [0,1] of the hair in images [N,3,h,w] in [-1,1]; NaN without hair."""
    return _mean(_luma(images), _is(labels, "hair"))


def beard(images: Tensor, labels: Tensor) -> Tensor:
    """Return how much darker [N] the skin around mouth and chin is than the cheeks, in [0,1]; NaN if one is hidden."""
    skin, light = _is(labels, "skin"), _luma(images)
    return _mean(light, skin & _inside(labels, CHEEKS)) - _mean(light, skin & _inside(labels, JAW))


def makeup(images: Tensor, labels: Tensor) -> Tensor:
    """Return how much redder [N] the lips are than the skin (R - G, in [0,1]): lipstick, the measurable make-up."""
    lips = _is(labels, "lip_upper") | _is(labels, "lip_lower")
    red = (images[:, 0] - images[:, 1]) / 2
    return _mean(red, lips) - _mean(red, _is(labels, "skin") & _inside(labels, CHEEKS))


def hidden(labels: Tensor) -> Tensor:
    """Return the share [N] of the face area, brows to chin, that the parser does not label as face; labels [N,h,w]."""
    x, y = _places(labels)
    oval = ((x - OVAL[0]) / OVAL[2]) ** 2 + ((y - OVAL[1]) / OVAL[3]) ** 2 < 1
    seen = torch.isin(labels.long(), torch.tensor(FACE, device=labels.device))
    return (oval & ~seen).float().sum((1, 2)) / oval.sum()


def _is(labels: Tensor, name: str) -> Tensor:
    return labels == CLASSES.index(name)


def _luma(images: Tensor) -> Tensor:
    weights = images.new_tensor([0.299, 0.587, 0.114])[:, None, None]
    return ((images + 1) / 2 * weights).sum(1)


def _inside(labels: Tensor, box: Box) -> Tensor:
    """Return the mask [h,w] bool of a box given in units of the crop's side."""
    x, y = _places(labels)
    x0, y0, x1, y1 = box
    return (x >= x0) & (x < x1) & (y >= y0) & (y < y1)


def _places(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return x and y [h,w] of the pixel centres, in units of the crop's side."""
    height, width = labels.shape[-2:]
    y, x = torch.meshgrid((torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij")
    return x.to(labels.device), y.to(labels.device)


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """Return the mean [N] of values [N,h,w] over the mask `where`; NaN for fewer than FEWEST pixels."""
    count = where.sum((1, 2))
    mean = (values * where).sum((1, 2)) / count.clamp(min=1)
    return torch.where(count >= FEWEST, mean, torch.nan)
