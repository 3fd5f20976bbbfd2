"""Convert the MobileNetV2 ImageNet classifier; the keys stay (`features.*`, `classifier.1.*`)."""

from __future__ import annotations

from torch import Tensor

from vidinv.weights.importers.state_dict import read_state_dict

VERSION = 1


def convert(members: dict[str, bytes]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Keep every tensor except BatchNorm's step counters."""
    state = {
        key: value.float() for key, value in read_state_dict(members).items() if not key.endswith("num_batches_tracked")
    }
    return state, {"network": "mobilenet-v2", "input": "RGB 224x224, ImageNet mean and deviation"}
