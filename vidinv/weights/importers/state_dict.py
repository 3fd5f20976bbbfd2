"""Read a torch checkpoint from bytes without running anything inside it."""

from __future__ import annotations

import io
import warnings
from typing import Any

import torch
from torch import Tensor

from vidinv.errors import WeightsUnavailable


def read_state_dict(members: dict[str, bytes]) -> dict[str, Tensor]:
    """The state dict of the one member, on the CPU; a "state_dict" level and a "module." prefix are taken off."""
    if len(members) != 1:
        raise WeightsUnavailable(f"expected one checkpoint member, got {sorted(members)}")
    name, content = next(iter(members.items()))
    loaded = load_tensors(content, name)
    state = loaded.get("state_dict", loaded)
    return {key.removeprefix("module."): value.contiguous() for key, value in state.items()}


def load_tensors(content: bytes, name: str) -> Any:
    """What torch saved, on the CPU: tensors, and containers of them.

    Raises WeightsUnavailable for bytes that are damaged, or would have to be run to be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is unusual about a pickle that is refused anyway
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or hostile pickle raises on its way
        raise WeightsUnavailable(
            f"{name} is no plain torch file: it is damaged, or holds more than tensors",
            remedy="get it anew, from its author",
        ) from error
