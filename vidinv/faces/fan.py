"""Detect 68 landmarks with FAN, the face alignment network.

Bulat and Tzimiropoulos, "How far are we from solving the 2D & 3D Face Alignment problem?": four stacked hourglasses
over 256x256 RGB in [0,1] give one 64x64 heatmap for each of 68 points.

The state's keys are those of the published 2DFAN4: `conv1`, `bn1`, `conv2` to `conv4`, and for hourglass i `m{i}`,
`top_m_{i}`, `conv_last{i}`, `bn_end{i}`, `l{i}`; between two of them `bl{i}` and `al{i}`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vidinv.faces.landmarks import check_boxes, crop_around_box, detect_in_crops
from vidinv.frames import Array
from vidinv.weights.imported import ImportedFacts

KIND = "landmarks"
SIZE, MAP = 256, 64  # sides of the crop and of a heatmap
POINTS = 68
REACH = 200 / 195  # the crop's side, as a multiple of the sum of the box's width and height
RISE = 0.12  # offset of the crop's centre above the box's centre, as a share of the box's height


class Block(nn.Module):
    """Three convolutions after BN and ReLU, their outputs (c/2, c/4, c/4 channels) concatenated, plus the input."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(c_in)
        self.conv1 = nn.Conv2d(c_in, c_out // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out // 2)
        self.conv2 = nn.Conv2d(c_out // 2, c_out // 4, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(c_out // 4)
        self.conv3 = nn.Conv2d(c_out // 4, c_out // 4, 3, padding=1, bias=False)
        self.downsample: nn.Module = nn.Identity()
        if c_in != c_out:
            self.downsample = nn.Sequential(nn.BatchNorm2d(c_in), nn.ReLU(), nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        first = self.conv1(self.bn1(x).relu())
        second = self.conv2(self.bn2(first).relu())
        third = self.conv3(self.bn3(second).relu())
        return torch.cat([first, second, third], 1) + self.downsample(x)


class Hourglass(nn.Module):
    """Hourglass: `depth` halvings and doublings with a skip block at each level (Newell et al., section 3.1)."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.depth = depth
        for level in range(depth, 0, -1):
            for name in ("b1", "b2", "b3", *(("b2_plus",) if level == 1 else ())):
                self.add_module(f"{name}_{level}", Block(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return self._level(self.depth, x)

    def _level(self, level: int, x: Tensor) -> Tensor:
        skip = self.get_submodule(f"b1_{level}")(x)
        low = self.get_submodule(f"b2_{level}")(functional.avg_pool2d(x, 2))
        low = self._level(level - 1, low) if level > 1 else self.get_submodule("b2_plus_1")(low)
        low = self.get_submodule(f"b3_{level}")(low)
        return skip + functional.interpolate(low, scale_factor=2, mode="nearest")


class FAN(nn.Module):
    """RGB crops [N,3,256,256] in [0,1] -> heatmaps [N,68,64,64] of the last hourglass; frozen."""

    def __init__(self, modules: int = 4, width: int = 256, depth: int = 4) -> None:
        super().__init__()
        self.count = modules
        self.conv1, self.bn1 = nn.Conv2d(3, width // 4, 7, 2, 3), nn.BatchNorm2d(width // 4)
        self.conv2, self.conv3 = Block(width // 4, width // 2), Block(width // 2, width // 2)
        self.conv4 = Block(width // 2, width)
        for i in range(modules):
            self.add_module(f"m{i}", Hourglass(width, depth))
            self.add_module(f"top_m_{i}", Block(width, width))
            self.add_module(f"conv_last{i}", nn.Conv2d(width, width, 1))
            self.add_module(f"bn_end{i}", nn.BatchNorm2d(width))
            self.add_module(f"l{i}", nn.Conv2d(width, POINTS, 1))
            if i < modules - 1:
                self.add_module(f"bl{i}", nn.Conv2d(width, width, 1))
                self.add_module(f"al{i}", nn.Conv2d(POINTS, width, 1))
        self.requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        if image.shape[1:] != (3, SIZE, SIZE):
            raise ValueError(f"FAN takes [N,3,{SIZE},{SIZE}], got {tuple(image.shape)}")
        x = functional.avg_pool2d(self.conv2(self.bn1(self.conv1(image)).relu()), 2)
        x = self.conv4(self.conv3(x))
        maps = x
        for i in range(self.count):
            part = self.get_submodule
            seen = part(f"top_m_{i}")(part(f"m{i}")(x))
            seen = part(f"bn_end{i}")(part(f"conv_last{i}")(seen)).relu()
            maps = part(f"l{i}")(seen)
            if i < self.count - 1:
                x = x + part(f"bl{i}")(seen) + part(f"al{i}")(maps)
        return maps


def peaks(maps: Tensor) -> Array:
    """Return points [N,P,2] (x, y) of heatmaps [N,P,h,w], in heatmap pixels from the outer edge.

    Each is the maximum's pixel centre, shifted by a quarter of a pixel towards the higher neighbour on each axis.
    """
    n, points, height, width = maps.shape
    values = maps.float().cpu().numpy()
    flat = values.reshape(n, points, -1).argmax(-1)
    y, x = np.divmod(flat, width)
    rows, columns = np.ogrid[:n, :points]

    def towards(step_y: int, step_x: int) -> Array:
        inside = (x > 0) & (x < width - 1) & (y > 0) & (y < height - 1)
        ahead = values[rows, columns, (y + step_y) % height, (x + step_x) % width]
        behind = values[rows, columns, (y - step_y) % height, (x - step_x) % width]
        return np.where(inside, 0.25 * np.sign(ahead - behind), 0.0)

    return np.stack([x + 0.5 + towards(0, 1), y + 0.5 + towards(1, 0)], -1)


class FanPoints:
    """Landmark source of 68 points by FAN, run on a crop around each box; points are in frame pixels."""

    def __init__(self, network: FAN) -> None:
        self.network = network

    @torch.inference_mode()
    def detect(self, image: Array, boxes: Array, *, rotation: int = 0) -> Array:
        """[N,68,2] float32. `rotation` as in `Detector.detect`: the crops are turned upright for the network."""
        device = next(self.network.parameters()).device

        def points(crops: Tensor) -> Array:
            return peaks(self.network(crops.to(device) / 255)) * (SIZE / MAP)

        to_frame = [_to_frame(box, rotation) for box in check_boxes(boxes)]
        return detect_in_crops(image, to_frame, SIZE, points) if to_frame else np.zeros((0, POINTS, 2), np.float32)


def _to_frame(box: Array, rotation: int) -> Array:
    """Return the similarity from FAN's crop around a box [4] to the coded frame's pixels."""
    width, height = box[2] - box[0], box[3] - box[1]
    tall = width if (rotation // 90) % 2 else height  # of the upright picture
    return crop_around_box(box, (width + height) * REACH, SIZE, rotation, rise=RISE * tall)


def build_fan(facts: ImportedFacts) -> FAN:
    """Build the untrained network of an import's facts."""
    return FAN(**facts.settings)


def tiny() -> FAN:
    """A seeded random network of one hourglass, for tests."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FAN(modules=1, width=8).eval()
