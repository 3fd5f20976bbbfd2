"""Read a torch checkpoint from bytes without running anything inside it."""

from __future__ import annotations

import io
import pickle

import torch
from torch import Tensor

from vidinv.errors import WeightsUnavailable


def read(members: dict[str, bytes]) -> dict[str, Tensor]:
    """The state dict of the one member, on the CPU; a "state_dict" level and a "module." prefix are taken off."""
    if len(members) != 1:
        raise WeightsUnavailable(f"expected one checkpoint member, got {sorted(members)}")
    name, content = next(iter(members.items()))
    try:
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise WeightsUnavailable(f"{name} is no plain torch checkpoint ({error})") from error
    state = loaded.get("state_dict", loaded)
    return {key.removeprefix("module."): value.contiguous() for key, value in state.items()}
