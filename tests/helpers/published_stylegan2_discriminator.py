"""A checkpoint of StyleGAN2's discriminator in its published layout, with random values."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.helpers import reference_generators

WIDTHS = {4: 16, 8: 16, 16: 8}


def published_state() -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    state = {"convs.0.0.weight": draw(8, 3, 1, 1), "convs.0.1.bias": draw(8)}
    for i, (wide, narrow) in enumerate([(16, 8), (8, 4)], 1):
        c_in, c_out, name = WIDTHS[wide], WIDTHS[narrow], f"convs.{i}"
        state |= {f"{name}.conv1.0.weight": draw(c_in, c_in, 3, 3), f"{name}.conv1.1.bias": draw(c_in)}
        state |= {f"{name}.conv2.1.weight": draw(c_out, c_in, 3, 3), f"{name}.conv2.2.bias": draw(c_out)}
        state[f"{name}.skip.1.weight"] = draw(c_out, c_in, 1, 1)
        for part in ("conv2", "skip"):
            state[f"{name}.{part}.0.kernel"] = reference_generators.smooth(1).float()
    state |= {"final_conv.0.weight": draw(16, 17, 3, 3), "final_conv.1.bias": draw(16)}
    state |= {"final_linear.0.weight": draw(16, 256), "final_linear.0.bias": draw(16)}
    return state | {"final_linear.1.weight": draw(1, 16), "final_linear.1.bias": draw(1)}
