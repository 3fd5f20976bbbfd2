"""Read a torch checkpoint from bytes without running any code in it."""

from __future__ import annotations

import io
import warnings
from typing import Any

import torch
from torch import Tensor

from vidinv.errors import WeightsUnavailable


def read_state_dict(members: dict[str, bytes]) -> dict[str, Tensor]:
    """Return the single member's state dict on the CPU, without a "state_dict" level or "module." prefix."""
    if len(members) != 1:
        raise WeightsUnavailable(f"expected one checkpoint member, got {sorted(members)}")
    name, content = next(iter(members.items()))
    loaded = load_tensors(content, name)
    state = loaded.get("state_dict", loaded)
    return {key.removeprefix("module."): value.contiguous() for key, value in state.items()}


def load_tensors(content: bytes, name: str) -> Any:
    """Load tensors, and containers of them, saved by torch, on the CPU.

    Raises WeightsUnavailable if the bytes are damaged, or reading them would run code.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about unusual pickles, which are refused anyway
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile pickle can raise any error
        raise WeightsUnavailable(
            f"{name} is not a plain torch file: it is damaged, or holds more than tensors",
            remedy="download it again from its author",
        ) from error
