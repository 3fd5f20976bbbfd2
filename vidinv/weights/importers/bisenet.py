"""BiSeNet face parsing: a plain torch state dict -> tensors named as `vidinv.faces.parser.BiSeNet` names them."""

from __future__ import annotations

from torch import Tensor

from vidinv.weights.importers.state_dict import read_state_dict

VERSION = 1


def convert(members: dict[str, bytes]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Keep every tensor but BatchNorm's step counters; keys stay (`cp.resnet.*`, `ffm.*`, `conv_out*`)."""
    state = {
        key: value.float() for key, value in read_state_dict(members).items() if not key.endswith("num_batches_tracked")
    }
    return state, {"network": "bisenet-resnet18", "classes": "19"}
