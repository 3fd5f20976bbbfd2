"""The networks of a job by backend: what finds, describes, parses and re-draws the face.

`default` is what a user gets. `tiny` is for tests (`stages/tiny.py`): a random generator and encoder, and a geometric
face locator, so that the whole job runs without fetched weights.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from stages import tiny
from stages.encode import Refine
from vidinv.config import Effort
from vidinv.editing import directions, refine
from vidinv.editing.directions import Direction
from vidinv.editing.lesson import Measure, Studio
from vidinv.editing.refine import Guides, Trace
from vidinv.encoders import encoder_file
from vidinv.encoders import registry as encoders
from vidinv.encoders.base import Encoder
from vidinv.errors import UsageError
from vidinv.faces.meter import UNITS
from vidinv.faces.tracker import FrameFaces
from vidinv.frames import Array, Code
from vidinv.generators import proxy as proxies
from vidinv.generators import registry as generators
from vidinv.generators.base import Generator
from vidinv.generators.proxy import Proxy

GENERATOR, SPACE = "mobile-stylegan-ffhq-1024", "mobile-stylegan-ffhq-w"  # of the default backend


Found = FrameFaces  # of one frame, in its pixels
# RGB uint8 [H,W,3], clockwise rotation for display, boxes [N,4] already known (None: detect) -> faces
Locate = Callable[[Array, int, "Array | None"], Found]
Embed = Callable[[torch.Tensor], Array]  # [N,3,S,S] in [-1,1] -> [N,D], L2-normalised
Parse = Callable[[torch.Tensor, int], Array]  # images, size -> labels uint8 [N,size,size], of parser.CLASSES
Occlude = Callable[
    [torch.Tensor], Array
]  # faces [N,3,S,S] in [-1,1] -> alpha [N,s,s] in [0,1] of what lies before them


@dataclass(frozen=True)
class Judges:
    """What looks at faces, whoever made them; both take pictures on the CPU."""

    parse: Parse
    identity: dict[str, Embed]


@dataclass(frozen=True)
class Models:
    """What the second pass runs, on `device`; `parse`, `occlusion` and `identity` take pictures on the CPU."""

    generator: Generator
    proxy: Proxy
    encoder: Encoder
    parse: Parse
    occlusion: Occlude
    identity: dict[str, Embed]
    device: str
    backend: str


class Measuring(Protocol):
    """What gives the measure, on the CPU, of the attributes `names`; of all if None."""

    def __call__(self, names: Collection[str] | None = None) -> Measure: ...


@dataclass(frozen=True)
class Backend:
    """One choice of networks; each part is loaded when it is called for.

    `needs` are catalogue names, `shipped` the files of this package that decide codes.
    """

    locator: Callable[[str], Locate]  # of a landmark source
    judges: Callable[[str], Judges]  # on a device
    models: Callable[[str, str], Models]  # on a device, with the encoder in a file ("": the shipped one)
    guides: Callable[[str], Guides]  # of the refinement, on a device
    direction: Callable[[str], Direction]  # by name
    measure: Measuring
    generator: str  # its name in the registry
    space: str
    slots: int  # rows of its w+
    needs: tuple[str, ...]
    measures: tuple[str, ...]  # attributes that `measure` gives
    measuring: tuple[str, ...] = ()  # what `measure` needs beside
    shipped: tuple[Path, ...] = ()

    @property
    def all_needs(self) -> tuple[str, ...]:
        """What a job needs that draws faces and measures them."""
        return self.needs + self.measuring

    @property
    def watching(self) -> tuple[str, ...]:
        """What measures videos that were made by others needs: all but the generator."""
        return tuple(name for name in self.all_needs if not name.startswith("generator/"))


def choose(name: str) -> Backend:
    """The named backend. Raises UsageError for an unknown one."""
    if name not in BACKENDS:
        raise UsageError(f"unknown backend {name!r}", remedy=f"choose one of {', '.join(BACKENDS)}")
    return BACKENDS[name]


def refiner(backend: Backend, models: Models) -> Refine:
    """Refinement of one frame's code towards its picture, with the backend's guides."""
    guides = backend.guides(models.device)
    settings = refine.Settings(size=min(refine.Settings.size, models.generator.sizes[0]))
    quick = models.proxy if models.proxy.head.spec.size == settings.size else None

    def refine_one(code: Code, image: torch.Tensor, before: Trace | None, effort: Effort) -> tuple[Code, Trace]:
        return refine.refine(models.generator, code, image, before, effort, guides, settings, quick)

    return refine_one


def studio(backend: Backend, models: Models, measure: Measure | None = None) -> Studio:
    """What directions are learned and looked at through: faces drawn by the backend's proxy head.

    `measure` is the backend's own unless another is given.
    """
    embed, seen = models.identity["arcface"], measure or backend.measure()
    return Studio(
        generator=models.generator,
        paint=lambda code: models.proxy(code.ws.to(models.device), styles=code.styles).cpu(),
        measure=seen,
        embed=lambda images: torch.from_numpy(embed(images)),
    )


def _scrfd(source: str) -> Locate:
    from vidinv.faces import detector, embedder, landmarks

    detect, points, arcface = detector.load_detector(), landmarks.LANDMARKS[source](), embedder.load_arcface()

    def locate(rgb: Array, rotation: int, boxes: Array | None) -> Found:
        turn = -rotation  # the detector counts counter-clockwise
        scores = np.ones(0 if boxes is None else len(boxes), np.float32)
        if boxes is None:
            faces = detect.detect(rgb, rotation=turn)
            boxes, scores = faces.boxes, faces.scores
        found = points.detect(rgb, boxes, rotation=turn)
        five = np.stack([landmarks.five_points(each) for each in found]) if len(found) else np.zeros((0, 5, 2))
        return Found(boxes, scores, found, arcface.embed_points(rgb, five))

    return locate


def _default_judges(device: str) -> Judges:
    from vidinv.faces import embedder

    networks = {"arcface": embedder.load_arcface().to(device), "lightcnn": embedder.load_lightcnn().to(device)}

    def embedding(network: embedder.IdentityNetwork) -> Embed:
        def embed(images: torch.Tensor) -> Array:
            with torch.inference_mode():
                return np.asarray(network.embed(images.to(device)).float().cpu().numpy())

        return embed

    return Judges(_bisenet(device), {name: embedding(network) for name, network in networks.items()})


def _default_models(device: str, encoder: str) -> Models:
    generator, judges = generators.load(GENERATOR, device), _default_judges(device)
    return Models(
        generator=generator,
        proxy=proxies.load(generator, 256),
        encoder=_encoder(encoder, "feature-style-light", generator),
        parse=judges.parse,
        occlusion=_occlusion(device),
        identity=judges.identity,
        device=device,
        backend="default",
    )


def _encoder(path: str, shipped: str, generator: Generator) -> Encoder:
    """The encoder in the file `path`, or the `shipped` one where there is none, on the generator's device."""
    return encoder_file.read(Path(path), generator) if path else encoders.load(shipped, generator.w_avg.device.type)


def _bisenet(device: str) -> Parse:
    from vidinv.faces import parser

    network = parser.load_parser().to(device)

    def parse(images: torch.Tensor, size: int) -> Array:
        return np.asarray(network.parse(images.to(device), size).cpu())

    return parse


def _occlusion(device: str) -> Occlude:
    from vidinv.faces import occlusion

    return occlusion.Occlusion(occlusion.load_network().to(device))


def _measure(names: Collection[str] | None = None) -> Measure:
    from vidinv.faces import meter

    return meter.load_meter(names).measure


def _centre(source: str) -> Locate:
    """One upright face in the middle of every frame that is not nearly black; landmarks by fixed proportions."""
    from vidinv.faces.landmarks import EYE_LEFT, EYE_RIGHT, MOUTH_LEFT, MOUTH_RIGHT, NOSE_TIP

    shape = np.full((106, 2), 0.5)
    shape[list(EYE_LEFT)], shape[list(EYE_RIGHT)] = (0.4, 0.45), (0.6, 0.45)
    shape[NOSE_TIP], shape[MOUTH_LEFT], shape[MOUTH_RIGHT] = (0.5, 0.55), (0.42, 0.65), (0.58, 0.65)

    def locate(rgb: Array, rotation: int, boxes: Array | None) -> Found:
        height, width = rgb.shape[:2]
        if rgb.mean() < 12:
            return Found(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 106, 2)), np.zeros((0, 1)))
        corner, side = np.array([width, height]) / 2 - min(width, height) / 2, min(width, height)
        points = (corner + shape * side).astype(np.float32)[None]
        box = np.array([[*(corner + 0.3 * side), *(corner + 0.7 * side)]], np.float32)
        return Found(box, np.ones(1, np.float32), points, np.ones((1, 1), np.float32))

    return locate


def _tiny_judges(device: str) -> Judges:
    return Judges(tiny.parse, {"arcface": tiny.embed, "lightcnn": tiny.embed})


def _tiny_models(device: str, encoder: str) -> Models:
    generator, judges = generators.load(tiny.GENERATOR, device), _tiny_judges(device)
    return Models(
        generator=generator,
        proxy=proxies.load(generator, 128),
        encoder=_encoder(encoder, "feature-style-tiny", generator),
        parse=judges.parse,
        occlusion=tiny.occlusion,
        identity=judges.identity,
        device=device,
        backend="tiny",
    )


BACKENDS = {
    "default": Backend(
        locator=_scrfd,
        judges=_default_judges,
        models=_default_models,
        guides=refine.load_guides,
        direction=lambda name: directions.load(name, SPACE),
        measure=_measure,
        measures=tuple(UNITS),
        generator=GENERATOR,
        space=SPACE,
        slots=16,
        needs=(
            "generator/mobile-stylegan-ffhq",
            "identity/arcface-mbf",
            "identity/lightcnn-v4",
            "detector/scrfd-500m",
            "landmarks/2d106",
            "parser/bisenet",
            "lpips/alexnet",
        ),
        measuring=("age/dlib", "gender/dlib"),
        shipped=(encoders.SHIPPED, proxies.ASSETS / "proxy_head_256.safetensors"),
    ),
    "tiny": Backend(
        locator=_centre,
        judges=_tiny_judges,
        models=_tiny_models,
        guides=tiny.guides,
        direction=tiny.direction,
        measure=lambda names=None: tiny.measure,
        measures=("age",),
        generator=tiny.GENERATOR,
        space=tiny.SPACE,
        slots=tiny.SLOTS,
        needs=(),
    ),
}
