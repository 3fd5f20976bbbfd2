"""Segment objects that occlude a face (hands, hair, microphones, bars) in an aligned crop."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from vidinv.frames import Array

SIZE = 128  # pixels, side of the network's input
SHIPPED = Path(__file__).parent.parent / "assets" / "occlusion.safetensors"
RADIUS, EPSILON = 4 / 128, 2e-4  # of the guided filter: in sides of the crop, and of squared grey levels in [0,1]
NOTHING, ALL = 0.2, 0.7  # values of the filter's output that are mapped to 0 and 1
SURE, UNSURE = 0.5, 0.15  # probabilities that are mapped to alpha 1 and 0
WIDTHS = (12, 24, 48, 80, 112)  # channels at sides 128, 64, 32, 16, 8


class Block(nn.Sequential):
    """Convolution, BatchNorm, ReLU; `stride` 2 halves the side."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        )


class OcclusionNetwork(nn.Module):
    """A U-Net (Ronneberger et al., 2015) of [N,3,128,128] in [-1,1], half a million weights."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Block(3, WIDTHS[0])
        pairs = list(itertools.pairwise(WIDTHS))
        self.down = nn.ModuleList(nn.Sequential(Block(a, b, 2), Block(b, b)) for a, b in pairs)
        self.up = nn.ModuleList(Block(a + b, a) for a, b in reversed(pairs))
        self.out = nn.Conv2d(WIDTHS[0], 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits [N,128,128] of an occluding object."""
        if image.ndim != 4 or image.shape[1:] != (3, SIZE, SIZE):
            raise ValueError(f"the occlusion network takes [N,3,{SIZE},{SIZE}], got {tuple(image.shape)}")
        seen = [self.stem(image)]
        for layer in self.down:
            seen.append(layer(seen[-1]))
        x = seen.pop()
        for layer in self.up:
            x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = layer(torch.cat([x, seen.pop()], 1))
        found: Tensor = self.out(x)[:, 0]
        return found


def load_network(path: Path = SHIPPED) -> OcclusionNetwork:
    """Load the network from a safetensors file written by `vidinv.trainers.occlusion.train`, frozen."""
    network = OcclusionNetwork()
    network.load_state_dict({key: value.float() for key, value in load_file(str(path)).items()}, strict=False)
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class Occlusion:
    """Callable that computes the alpha of objects that occlude aligned faces."""

    def __init__(self, network: OcclusionNetwork) -> None:
        self.network = network

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Array:
        """Return the alpha [N,128,128] float32 in [0,1] of occluding objects in images [N,3,S,S] in [-1,1]."""
        small = functional.interpolate(images, (SIZE, SIZE), mode="bilinear", antialias=images.shape[-1] > SIZE)
        device = next(self.network.parameters()).device
        probability = self.network(small.to(device)).sigmoid().cpu()
        found: Array = ((probability - UNSURE) / (SURE - UNSURE)).clamp(0, 1).numpy()
        return found


def refine_alpha(alpha: Array, image: Array) -> Array:
    """Upsample `alpha` [s,s] in [0,1] to `image` [S,S,3] in [0,1], with edges aligned to those of the image.

    This is the guided filter (He, Sun & Tang, "Guided Image Filtering", 2013) with the image's luma as guide: within
    each window the result is the linear function of the guide that is nearest to alpha. The result is then stretched,
    which removes the filter's slow slopes near edges.
    """
    side = image.shape[0]
    coarse = cv2.resize(cv2.dilate(alpha, np.ones((3, 3), np.uint8)), (side, side), interpolation=cv2.INTER_LINEAR)
    if not coarse.any():
        return np.asarray(coarse)
    guide = cv2.cvtColor(np.ascontiguousarray(image, np.float32), cv2.COLOR_RGB2GRAY)
    reach = (2 * max(1, round(RADIUS * side)) + 1,) * 2

    def mean(values: Array) -> Array:
        return cv2.blur(values, reach)

    middle, level = mean(guide), mean(coarse)
    slope = (mean(guide * coarse) - middle * level) / (mean(guide * guide) - middle * middle + EPSILON)
    found = mean(slope) * guide + mean(level - slope * middle)
    return np.asarray(np.clip((found - NOTHING) / (ALL - NOTHING), 0, 1))
