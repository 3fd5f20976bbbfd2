"""A checkpoint of StyleGAN2 in its published layout, with random values."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.helpers import reference_generators

WIDTHS = {4: 24, 8: 24, 16: 24, 32: 12}  # another width at the end


W = 20


def published_state(seed: int = 0, w_dim: int = W, channels: dict[int, int] = WIDTHS) -> dict[str, Tensor]:
    """Random values under the names and shapes of the published PyTorch checkpoints."""
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    def convolution(name: str, c_in: int, c_out: int, side: int) -> dict[str, Tensor]:
        return {
            f"{name}.conv.weight": draw(1, c_out, c_in, side, side),
            f"{name}.conv.modulation.weight": draw(c_in, w_dim),
            f"{name}.conv.modulation.bias": 1 + 0.3 * draw(c_in),
        }

    def styled(name: str, c_in: int, c_out: int) -> dict[str, Tensor]:
        rest = {f"{name}.noise.weight": draw(1), f"{name}.activate.bias": draw(c_out)}
        return convolution(name, c_in, c_out, 3) | rest

    def picture(name: str, c_in: int) -> dict[str, Tensor]:
        return convolution(name, c_in, 3, 1) | {f"{name}.bias": draw(1, 3, 1, 1)}

    state = {"input.input": draw(1, channels[4], 4, 4), "noises.noise_0": draw(1, 1, 4, 4)}
    for k in range(1, 9):
        state |= {f"style.{k}.weight": 100 * draw(w_dim, w_dim), f"style.{k}.bias": 100 * draw(w_dim)}
    state |= styled("conv1", channels[4], channels[4]) | picture("to_rgb1", channels[4])
    for i, side in enumerate(list(channels)[1:]):
        state |= styled(f"convs.{2 * i}", channels[side // 2], channels[side])
        state |= styled(f"convs.{2 * i + 1}", channels[side], channels[side])
        state |= picture(f"to_rgbs.{i}", channels[side])
        state[f"convs.{2 * i}.conv.blur.kernel"] = reference_generators.smooth(4).float()
        state[f"to_rgbs.{i}.upsample.kernel"] = reference_generators.smooth(4).float()
        for j in (2 * i + 1, 2 * i + 2):
            state[f"noises.noise_{j}"] = draw(1, 1, side, side)
    return state
