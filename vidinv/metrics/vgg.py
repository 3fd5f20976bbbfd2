"""Classify images with an ImageNet VGG16 (Simonyan and Zisserman), for the heat maps of `vidinv.losses.regions`.

vidinv ships no weights of the classifier: the user provides a file with torchvision's names.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidinv.metrics.mobilenet import DEVIATION, MEAN, SIDE
from vidinv.weights.importers.state_dict import read_state_dict

WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)  # 0 is a pool
SPATIAL, HIDDEN, CLASSES = 7, 4096, 1000


class VGG16(nn.Module):
    """Images [N,3,H,W] in [-1,1] -> maps [N,512,14,14] of the last convolution -> scores [N,1000]."""

    mean: Tensor  # [1,3,1,1], buffers
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 3
        for wide in WIDTHS:
            layers += [nn.Conv2d(width, wide, 3, padding=1), nn.ReLU()] if wide else [nn.MaxPool2d(2)]
            width = wide or width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            *(nn.Linear(width * SPATIAL**2, HIDDEN), nn.ReLU(), nn.Dropout()),
            *(nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Dropout(), nn.Linear(HIDDEN, CLASSES)),
        )
        self.register_buffer("mean", torch.tensor(MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).reshape(1, 3, 1, 1), persistent=False)

    def maps(self, image: Tensor) -> Tensor:
        if image.ndim != 4 or image.shape[1] != 3:
            raise ValueError(f"VGG16 takes images [N,3,H,W] in [-1,1], got {tuple(image.shape)}")
        x = F.interpolate(image, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
        return self.features[:-1](((x + 1) / 2 - self.mean) / self.deviation)

    def scores(self, maps: Tensor) -> Tensor:
        return self.classifier(F.adaptive_avg_pool2d(self.features[-1](maps), SPATIAL).flatten(1))


def load_vgg16(path: Path) -> VGG16:
    """Load the network from a torch.save file with torchvision's names, without running code; frozen, in eval mode.

    Raises WeightsUnavailable for a file that is damaged or holds other objects, RuntimeError for mismatching tensors.
    """
    network = VGG16()
    network.load_state_dict(read_state_dict({path.name: path.read_bytes()}))
    return network.eval().requires_grad_(False)
