"""Embed aligned crops with face recognition: ArcFace MobileFaceNet, and LightCNN-V4 as an independent network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from vidinv.faces import similarity
from vidinv.faces.onnx_graph.network import GraphNetwork
from vidinv.faces.warp import warp_cpu
from vidinv.frames import Array
from vidinv.weights import cache

# Positions of SCRFD's five points in an FFHQ-aligned crop, in units of its side (0 and 1 are the outer edges): the mean
# over nine CelebA-HQ images, made symmetric about the middle. Spread (one standard deviation): eyes .006, nose .03,
# mouth .02.
FFHQ_POINTS = np.array([(0.3803, 0.4776), (0.6197, 0.4776), (0.5, 0.6234), (0.3950, 0.7267), (0.6050, 0.7267)])
# The five-point templates, in pixels.
ARCFACE_TEMPLATE = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
)
LIGHTCNN_TEMPLATE = ARCFACE_TEMPLATE * 128 / 112  # the same framing on 128x128


class TemplateWarp(nn.Module):
    """Warp an FFHQ-aligned crop to a network's template by a fixed similarity; differentiable, antialiased."""

    grid: Tensor  # [1,size,size,2], a buffer

    def __init__(self, template: Array, size: int, points: Array = FFHQ_POINTS) -> None:
        super().__init__()
        self.size = size
        to_crop = similarity.fit(template, points)  # template pixel -> unit crop
        # Resizing first to the side at which one crop pixel is one template pixel avoids aliasing.
        self.natural = round(1.0 / similarity.scale(to_crop))
        y, x = np.mgrid[:size, :size]
        unit = similarity.apply(to_crop, np.stack([x, y], axis=-1).astype(np.float64))
        self.register_buffer("grid", torch.from_numpy(2 * unit - 1).float()[None], persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Map crops [N,3,S,S] to [N,3,size,size] in the same range."""
        if image.ndim != 4 or image.shape[1] != 3 or image.shape[2] != image.shape[3]:
            raise ValueError(f"identity networks take aligned crops [N,3,S,S], got {tuple(image.shape)}")
        if image.shape[-1] > self.natural:
            image = F.interpolate(image, (self.natural,) * 2, mode="bilinear", align_corners=False, antialias=True)
        grid = self.grid.to(image.dtype).expand(image.shape[0], -1, -1, -1)
        return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)


class IdentityNetwork(nn.Module):
    """Base of recognition networks; a subclass defines `template`, `size`, `dim` and `taps_of_template`."""

    template: Array
    size: int
    dim: int

    def __init__(self) -> None:
        super().__init__()
        self.warp = TemplateWarp(self.template, self.size)

    def taps_of_template(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return five feature levels of [N,3,size,size] RGB in [-1,1]; the last is the raw embedding [N,D]."""
        raise NotImplementedError("abstract: each recognition network names its own taps")

    def taps(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return five feature levels of FFHQ-aligned crops [N,3,S,S] in [-1,1]; the last is the raw embedding [N,D]."""
        return self.taps_of_template(self.warp(image))

    def embed(self, image: Tensor) -> Tensor:
        """Return L2-normalised embeddings [N,D] of FFHQ-aligned crops [N,3,S,S] in [-1,1]; differentiable."""
        return F.normalize(self.taps(image)[-1], dim=1)

    @torch.inference_mode()
    def embed_points(self, image: Array, points: Array) -> Array:
        """Return L2-normalised embeddings [K,D] float32 of the faces at `points` [K,5,2] in an RGB frame [h,w,3].

        The frame is uint8, or float in [-1,1]; the points are the detector's.
        """
        if points.ndim != 3 or points.shape[1:] != (5, 2):
            raise ValueError(f"points must be [K,5,2], got {points.shape}")
        if not len(points):
            return np.zeros((0, self.dim), np.float32)
        frame = image.astype(np.float32) / 127.5 - 1 if image.dtype == np.uint8 else image.astype(np.float32)
        crops = [warp_cpu(frame, similarity.fit(self.template, five), self.size) for five in points]
        batch = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).to(self.warp.grid.device)
        return F.normalize(self.taps_of_template(batch)[-1], dim=1).float().cpu().numpy()


class ArcFace(IdentityNetwork):
    """MobileFaceNet trained with ArcFace on WebFace600K: 512-d, 112x112 RGB in [-1,1]."""

    template, size, dim = ARCFACE_TEMPLATE, 112, 512
    # Stem (56x56), the three downsampling stages (28, 14, 7) and the embedding, as the graph names them.
    TAPS = ("343", "397", "473", "505", "516")

    def __init__(self, network: GraphNetwork) -> None:
        super().__init__()
        self.network = network

    def taps_of_template(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.network(image, taps=self.TAPS)


class MaxFeatureMap(nn.Module):
    """Convolution to 2C channels, followed by the maximum of each channel pair (c, c + C)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.filter = nn.Conv2d(inputs, 2 * outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.filter(x).chunk(2, dim=1)
        return torch.maximum(first, second)


class MaxFeatureBlock(nn.Module):
    """Two max-feature-map convolutions with a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = MaxFeatureMap(channels, channels)
        self.conv2 = MaxFeatureMap(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.conv1(x))


def _halve(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2) + F.avg_pool2d(x, 2)


class LightCNN(IdentityNetwork):
    """LightCNN-V4: 256-d, 128x128, fed BGR in [0,1]."""

    template, size, dim = LIGHTCNN_TEMPLATE, 128, 256

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.block1 = MaxFeatureMap(3, 48), _blocks(48, 1)
        self.conv2, self.block2 = MaxFeatureMap(48, 96), _blocks(96, 2)
        self.conv3, self.block3 = MaxFeatureMap(96, 192), _blocks(192, 3)
        self.conv4, self.block4 = MaxFeatureMap(192, 128), _blocks(128, 4)
        self.conv5 = MaxFeatureMap(128, 128)
        self.fc = nn.Linear(128 * 8 * 8, 256)
        self.requires_grad_(False)

    def taps_of_template(self, image: Tensor) -> tuple[Tensor, ...]:
        x = (image.flip(1) + 1) / 2
        first = self.block1(_halve(self.conv1(x)))  # [N,48,64,64]
        second = self.block2(_halve(self.conv2(first)))  # [N,96,32,32]
        third = self.block3(_halve(self.conv3(second)))  # [N,192,16,16]
        fourth = _halve(self.conv5(self.block4(self.conv4(third))))  # [N,128,8,8]
        return first, second, third, fourth, self.fc(fourth.flatten(1))


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(MaxFeatureBlock(channels) for _ in range(count)))


def load_arcface(path: str | Path | None = None) -> ArcFace:
    """Load ArcFace from the weights cache, or from a safetensors file."""
    return ArcFace(GraphNetwork.load(path or cache.path("identity/arcface-mbf"))).eval()


def load_lightcnn(path: str | Path | None = None) -> LightCNN:
    """Load LightCNN-V4 from the weights cache, or from a safetensors file."""
    network = LightCNN()
    network.load_state_dict(load_file(str(path or cache.path("identity/lightcnn-v4"))), strict=True)
    return network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
