"""A checkpoint of pggan in its published layout, with random values."""

from __future__ import annotations

import torch
from torch import Tensor

WIDTHS = {4: 12, 8: 12, 16: 12, 32: 6}


Z = 20


def published_state(classes: int = 0) -> dict[str, Tensor]:
    """Random values under the names and shapes of the PyTorch conversions."""
    random = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    state = {"lod": torch.zeros(())}
    for i, (side, width) in enumerate(WIDTHS.items()):
        shape = (width, Z + classes, 4, 4) if side == 4 else (width, WIDTHS[side // 2], 3, 3)
        state |= {f"layer{2 * i}.weight": draw(*shape), f"layer{2 * i}.bias": draw(width)}
        state |= {f"layer{2 * i + 1}.weight": draw(width, width, 3, 3), f"layer{2 * i + 1}.bias": draw(width)}
        state |= {f"output{i}.weight": draw(3, width, 1, 1), f"output{i}.bias": draw(3)}
    return state
