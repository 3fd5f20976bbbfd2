"""Load the fetched networks that detect, recognise, parse and measure faces."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch

from vidinv.backends.interface import Embed, Locate, LocatedFaces, Occlude, Parse
from vidinv.editing.direction_training import Measure
from vidinv.engines.transfer import to_device
from vidinv.frames import Array

FINDING = ("detector/scrfd-500m", "landmarks/2d106")  # catalogue names
RECOGNISING = ("identity/arcface-mbf", "identity/lightcnn-v4")
PARSING = ("parser/bisenet",)
PERCEIVING = ("lpips/alexnet",)
MEASURING = ("age/dlib", "gender/dlib")


def build_locator(source: str) -> Locate:
    """Locate faces by SCRFD or known boxes, with landmarks of `source` and ArcFace embeddings."""
    from vidinv.faces import detector, embedder, landmarks

    detect, points, arcface = detector.load_detector(), landmarks.LANDMARKS[source](), embedder.load_arcface()

    def locate(rgb: Array, rotation: int, boxes: Array | None) -> LocatedFaces:
        turn = -rotation  # the detector counts counter-clockwise
        scores = np.ones(0 if boxes is None else len(boxes), np.float32)
        if boxes is None:
            faces = detect.detect(rgb, rotation=turn)
            boxes, scores = faces.boxes, faces.scores
        found = points.detect(rgb, boxes, rotation=turn)
        five = np.stack([landmarks.five_points(each) for each in found]) if len(found) else np.zeros((0, 5, 2))
        return LocatedFaces(boxes, scores, found, arcface.embed_points(rgb, five))

    return locate


def load_recognisers(device: str, main: str = "arcface-mbf") -> dict[str, Embed]:
    """ArcFace, shipped or imported as `main`, and LightCNN as the independent network."""
    from vidinv.faces import registry
    from vidinv.faces.embedder import IdentityNetwork

    networks = {"arcface": registry.identity(main, device), "lightcnn": registry.identity("lightcnn-v4", device)}

    def embedding(network: IdentityNetwork) -> Embed:
        def embed(images: torch.Tensor) -> Array:
            with torch.inference_mode():
                return np.asarray(network.embed(to_device(images, device)).float().cpu().numpy())

        return embed

    return {name: embedding(network) for name, network in networks.items()}


def load_parser(device: str, name: str = "bisenet") -> Parse:
    """Load a BiSeNet that labels aligned faces."""
    from vidinv.faces import registry

    # channels_last is set here and not in the registry: trainings differentiate the parser, and torch 2.13 crashed in
    # the float32 gradient of a 1x1 convolution of stride 2 in this layout.
    network = registry.parsing(name, device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def parse(images: torch.Tensor, size: int) -> Array:
        return np.asarray(network.parse(to_device(images, device), size).cpu())

    return parse


def load_occlusion(device: str) -> Occlude:
    """Load the network that finds what occludes aligned faces."""
    from vidinv.faces import occlusion as network

    return network.Occlusion(network.load_network().to(device))


def load_measure(names: Collection[str] | None = None) -> Measure:
    """Load the attribute networks `names` (None: all) for aligned faces."""
    from vidinv.faces import attribute_meter

    return attribute_meter.load_meter(names).measure
