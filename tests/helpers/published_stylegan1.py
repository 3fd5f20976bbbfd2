"""A checkpoint of stylegan1 in its published layout, with random values."""

from __future__ import annotations

import torch
from torch import Tensor

WIDTHS = {4: 16, 8: 16, 16: 16, 32: 8, 64: 4, 128: 2}  # from 128 on by a transposed convolution


W = 12


def published_state() -> dict[str, Tensor]:
    """Random values under the names and shapes of the PyTorch conversions."""
    random = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    state = {"const": draw(1, WIDTHS[4], 4, 4)}
    for k in range(1, 9):
        state |= {f"block_{k}.fc.weight": 0.4 * draw(W, W), f"block_{k}.fc.bias": 0.1 * draw(W)}
    for i, (side, width) in enumerate(WIDTHS.items()):
        below = WIDTHS.get(side // 2, width)
        name = f"decode_block.{i}"
        if side > 4:
            shape = (below, width, 3, 3) if side >= 128 else (width, below, 3, 3)
            state[f"{name}.conv_1.weight"] = 0.2 * draw(*shape)
        state[f"{name}.conv_2.weight"] = 0.2 * draw(width, width, 3, 3)
        for part in (1, 2):
            state[f"{name}.noise_weight_{part}"] = 0.3 * draw(1, width, 1, 1)
            state[f"{name}.bias_{part}"] = 0.3 * draw(1, width, 1, 1)
            state[f"{name}.style_{part}.weight"] = 0.3 * draw(2 * width, W)
            state[f"{name}.style_{part}.bias"] = 0.3 * draw(2 * width)
        state |= {f"to_rgb.{i}.to_rgb.weight": draw(3, width, 1, 1), f"to_rgb.{i}.to_rgb.bias": draw(3)}
    return state
