"""LightCNN-V4 checkpoint -> tensors named as `vidinv.faces.embedder.LightCNN` names them."""

from __future__ import annotations

from torch import Tensor

from vidinv.weights.importers.state_dict import read_state_dict

VERSION = 1


def convert(members: dict[str, bytes]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Keys stay (`conv1.filter.*`, `block{1..4}.{i}.conv{1,2}.filter.*`, `conv{2..5}.filter.*`, `fc.*`)."""
    state = {key: value.float() for key, value in read_state_dict(members).items()}
    return state, {"network": "lightcnn-v4", "input": "BGR 128x128 in [0, 1]"}
