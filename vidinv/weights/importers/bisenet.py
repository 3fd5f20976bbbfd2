"""Convert BiSeNet face parsing weights: a torch state dict to the names of `vidinv.faces.parser.BiSeNet`."""

from __future__ import annotations

from torch import Tensor

from vidinv.weights.importers.state_dict import read_state_dict

VERSION = 1


def convert(members: dict[str, bytes]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Keep every tensor except BatchNorm's step counters; keys stay (`cp.resnet.*`, `ffm.*`, `conv_out*`)."""
    state = {
        key: value.float() for key, value in read_state_dict(members).items() if not key.endswith("num_batches_tracked")
    }
    return state, {"network": "bisenet-resnet18", "classes": "19"}
