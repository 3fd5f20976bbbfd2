"""Extract features with an ImageNet MobileNetV2 (Sandler et al.), for the Frechet distance."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from vidinv.weights import cache

# Expansion, channels, blocks and first stride of each stage (the paper's table 2).
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDE = 224
FEATURES = 1280


def _conv(c_in: int, c_out: int, side: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, side, stride, side // 2, groups=groups, bias=False), nn.BatchNorm2d(c_out), nn.ReLU6()
    )


class InvertedResidual(nn.Module):
    """Widen, filter each channel, narrow without an activation; added to the input where the shape allows."""

    def __init__(self, c_in: int, c_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = c_in * expansion
        widen = [_conv(c_in, wide, 1)] if expansion != 1 else []
        narrow = [nn.Conv2d(wide, c_out, 1, bias=False), nn.BatchNorm2d(c_out)]
        self.conv = nn.Sequential(*widen, _conv(wide, wide, 3, stride, groups=wide), *narrow)
        self.adds = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(nn.Module):
    """Images [N,3,H,W] in [-1,1] -> features [N,1280], the input of the classifier; names are torchvision's."""

    num_features = FEATURES
    mean: Tensor  # [1,3,1,1], buffers
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(3, 32, 3, 2)]
        width = 32
        for expansion, channels, blocks, stride in STAGES:
            for block in range(blocks):
                layers.append(InvertedResidual(width, channels, stride if block == 0 else 1, expansion))
                width = channels
        self.features = nn.Sequential(*layers, _conv(width, FEATURES, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(FEATURES, 1000))
        self.register_buffer("mean", torch.tensor(MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        return self.maps(image).mean((2, 3))

    def scores(self, maps: Tensor) -> Tensor:
        """Map features [N,1280,h,w] to the logits [N,1000] of ImageNet's classes."""
        return self.classifier(maps.mean((2, 3)))

    def maps(self, image: Tensor) -> Tensor:
        """Return the last convolution's output [N,1280,7,7]."""
        if image.ndim != 4 or image.shape[1] != 3:
            raise ValueError(f"MobileNetV2 takes images [N,3,H,W] in [-1,1], got {tuple(image.shape)}")
        x = F.interpolate(image, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
        return self.features(((x + 1) / 2 - self.mean) / self.deviation)


def load_mobilenet(path: str | Path | None = None) -> MobileNetV2:
    """Load the network from the weights cache, or from a safetensors file; frozen, in eval mode."""
    network = MobileNetV2()
    network.load_state_dict(load_file(str(path or cache.path("features/mobilenet-v2"))), strict=True)
    return network.eval().requires_grad_(False)
