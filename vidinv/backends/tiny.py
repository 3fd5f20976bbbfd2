"""The tiny backend for tests: a whole job without fetched weights, with results that can be computed by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vidinv.backends.interface import Backend, FaceEvaluators, Locate, LocatedFaces, Models
from vidinv.editing import directions
from vidinv.editing.directions import Direction
from vidinv.editing.refine import Guides
from vidinv.encoders import encoder_file
from vidinv.encoders import registry as encoders
from vidinv.faces.parser import CLASSES
from vidinv.frames import Array
from vidinv.generators import proxy as proxies
from vidinv.generators import registry as generators

GENERATOR, SPACE = "mobile-stylegan-tiny", "mobile-stylegan-tiny-w"
SLOTS, DIM = 8, 32
DIRECTIONS = ("age", "smile")


class PooledPixels(nn.Module):
    """An identity network whose embedding is the picture at 8x8, as a unit vector."""

    def embed(self, image: Tensor) -> Tensor:
        return functional.normalize(functional.adaptive_avg_pool2d(image.float(), 8).flatten(1) + 1e-3, dim=1)


class MeanDifference(nn.Module):
    """A perceptual loss: the mean absolute difference of [N,3,S,S] and [N,3,S,S] -> [N]."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.against(b)(a)

    def against(self, b: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda a: (a - b).abs().mean((1, 2, 3))


def guides(device: str = "cpu", perceptual: nn.Module | None = None) -> Guides:
    """The loss networks of a refinement; neither has weights to move to `device`. `perceptual` replaces the default."""
    return Guides(identity=PooledPixels(), perceptual=perceptual or MeanDifference())  # type: ignore[arg-type]


def direction(name: str) -> Direction:
    """One of DIRECTIONS, drawn from a seed, or a learned direction. Raises UsageError for another name."""
    learned = directions.names(SPACE)
    if name in learned and name not in DIRECTIONS:
        return directions.load_direction(name, SPACE)
    if name not in DIRECTIONS:
        raise directions.unknown_direction_error(name, [*DIRECTIONS, *learned], SPACE)
    generator = generators.load_generator(GENERATOR)
    vector = torch.randn(generator.w_dim, generator=torch.Generator().manual_seed(DIRECTIONS.index(name)))
    years = {"years": 2.6} if name == "age" else {}  # in the unit of `measure`
    return Direction(name, vector / vector.norm(), 1.0, (0, SLOTS), SPACE, blend="residual", calibration=years)


def parse(images: Tensor, size: int) -> Array:
    """Labels [N,size,size]: an ellipse of skin in the middle, in it a mouth, around it hair."""
    y, x = np.mgrid[:size, :size] / (size - 1) - 0.5
    labels = np.zeros((size, size), np.uint8)
    for name, wide, high, down in (("hair", 0.28, 0.34, 0.0), ("skin", 0.22, 0.28, 0.0), ("mouth", 0.08, 0.04, 0.12)):
        labels[(x / wide) ** 2 + ((y - down) / high) ** 2 < 1] = CLASSES.index(name)
    return np.repeat(labels[None], len(images), 0)


def occlusion(images: Tensor) -> Array:
    """Occlusion alpha [N,s,s] of [N,3,s,s]: pure green pixels occlude the face."""
    red, green, blue = images.unbind(1)
    return np.asarray(((green > 0.7) & (red < -0.7) & (blue < -0.7)).float().numpy())


def measure(images: Tensor) -> dict[str, Array]:
    """The "age" of [N,3,S,S]: 100 times the mean difference of blue and red."""
    return {"age": np.asarray(100 * (images[:, 2] - images[:, 0]).mean((1, 2)).numpy())}


def embed(images: Tensor) -> Array:
    """[N,3,S,S] -> [N,192]."""
    return np.asarray(PooledPixels().embed(images).numpy())


def locator(source: str) -> Locate:
    """One upright face in the middle of every frame that is not nearly black; landmarks by fixed proportions."""
    from vidinv.faces.landmarks import EYE_LEFT, EYE_RIGHT, MOUTH_LEFT, MOUTH_RIGHT, NOSE_TIP

    shape = np.full((106, 2), 0.5)
    shape[list(EYE_LEFT)], shape[list(EYE_RIGHT)] = (0.4, 0.45), (0.6, 0.45)
    shape[NOSE_TIP], shape[MOUTH_LEFT], shape[MOUTH_RIGHT] = (0.5, 0.55), (0.42, 0.65), (0.58, 0.65)

    def locate(rgb: Array, rotation: int, boxes: Array | None) -> LocatedFaces:
        height, width = rgb.shape[:2]
        if rgb.mean() < 12:
            return LocatedFaces(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 106, 2)), np.zeros((0, 1)))
        corner, side = np.array([width, height]) / 2 - min(width, height) / 2, min(width, height)
        points = (corner + shape * side).astype(np.float32)[None]
        box = np.array([[*(corner + 0.3 * side), *(corner + 0.7 * side)]], np.float32)
        return LocatedFaces(box, np.ones(1, np.float32), points, np.ones((1, 1), np.float32))

    return locate


def evaluators(device: str) -> FaceEvaluators:
    """The evaluators, on the CPU."""
    return FaceEvaluators(parse, {"arcface": embed, "lightcnn": embed})


def models(device: str, encoder: str) -> Models:
    """The registered tiny networks; `encoder` names a file that replaces the encoder, if not empty."""
    generator, seen = generators.load_generator(GENERATOR, device), evaluators(device)
    return Models(
        generator=generator,
        proxy=proxies.load_proxy(generator, 128),
        encoder=encoder_file.read_encoder(Path(encoder), generator)
        if encoder
        else encoders.load_encoder("feature-style-tiny", device),
        parse=seen.parse,
        occlusion=occlusion,
        identity=seen.identity,
        device=device,
        backend=BACKEND,
    )


BACKEND = Backend(
    name="tiny",
    locator=locator,
    evaluators=evaluators,
    models=models,
    guides=guides,
    direction=direction,
    measure=lambda names=None: measure,
    measures=("age",),
    generator=GENERATOR,
    space=SPACE,
    slots=SLOTS,
    dim=DIM,
    needs=(),
)
