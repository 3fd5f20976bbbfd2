"""Load face networks (identity, parser, landmarks) by name, registered or imported."""

from __future__ import annotations

from collections.abc import Callable

from vidinv.faces import embedder, fan, parser, recognition
from vidinv.faces.embedder import IdentityNetwork
from vidinv.faces.fan import FAN, FanPoints
from vidinv.faces.landmarks import LANDMARKS, Landmarker
from vidinv.faces.parser import BiSeNet
from vidinv.weights import network_file

IDENTITIES: dict[str, Callable[[], IdentityNetwork]] = {
    "arcface-mbf": embedder.load_arcface,
    "lightcnn-v4": embedder.load_lightcnn,
    "iresnet-tiny": lambda: recognition.tiny("iresnet"),
    "ir-se-tiny": lambda: recognition.tiny("ir-se"),
}
PARSERS: dict[str, Callable[[], BiSeNet]] = {"bisenet": parser.load_parser, "bisenet-tiny": parser.tiny}
FANS: dict[str, Callable[[], FAN]] = {"fan-tiny": fan.tiny}


def identity(name: str, device: str = "cpu") -> IdentityNetwork:
    """Load the named recognition network, frozen, in eval mode, on `device`. Raises UsageError if unknown."""
    return network_file.load_network(recognition.KIND, name, IDENTITIES, recognition.build_recognition, device)


def parsing(name: str, device: str = "cpu") -> BiSeNet:
    """Load the named face parser, frozen, in eval mode, on `device`. Raises UsageError if unknown."""
    return network_file.load_network(parser.KIND, name, PARSERS, parser.build_parser, device)


def landmarks(name: str, device: str = "cpu") -> Landmarker:
    """Load the named landmark source: one of `landmarks.LANDMARKS`, or the 68 points of the named FAN on `device`."""
    if name in LANDMARKS:
        return LANDMARKS[name]()
    return FanPoints(network_file.load_network(fan.KIND, name, FANS, fan.build_fan, device))
