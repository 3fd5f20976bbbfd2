"""Read a torch checkpoint from bytes without running any code in it."""

from __future__ import annotations

from torch import Tensor

from vidinv.errors import WeightsUnavailable
from vidinv.weights.unpickling.weight_file import read_weight_bytes


def read_state_dict(members: dict[str, bytes]) -> dict[str, Tensor]:
    """Return the single member's state dict on the CPU, without a "state_dict" level or "module." prefix."""
    if len(members) != 1:
        raise WeightsUnavailable(f"expected one checkpoint member, got {sorted(members)}")
    name, content = next(iter(members.items()))
    loaded = read_weight_bytes(content, name)
    state = loaded.get("state_dict", loaded)
    return {key.removeprefix("module."): value.contiguous() for key, value in state.items()}
