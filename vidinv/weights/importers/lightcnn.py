"""Convert the LightCNN-V4 checkpoint to the names of `vidinv.faces.embedder.LightCNN`."""

from __future__ import annotations

from torch import Tensor

from vidinv.weights.importers.state_dict import read_state_dict

VERSION = 1


def convert(members: dict[str, bytes]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Keep every tensor under its own key (`conv1.filter.*`, `block{1..4}.*`, `conv{2..5}.filter.*`, `fc.*`)."""
    state = {key: value.float() for key, value in read_state_dict(members).items()}
    return state, {"network": "lightcnn-v4", "input": "BGR 128x128 in [0, 1]"}
