"""Modulate and demodulate weights (Karras et al., "Analyzing and Improving the Image Quality of StyleGAN").

Eq. 1: w'_ijk = s_i w_ijk, and eq. 3: w''_ijk = w'_ijk / sqrt(sum_ik w'_ijk^2 + eps), with i the input and j the output
channel.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Convolution = Callable[[Tensor, Tensor, Tensor | None], Tensor]  # x, weight [O,I,k,k], bias [O] or None


def convolve(
    x: Tensor,
    weight: Tensor,
    style: Tensor,
    convolution: Convolution,
    *,
    bias: Tensor | None = None,
    gain: float | Tensor = 1.0,
    demodulate: bool = True,
    eps: float = 1e-8,
) -> Tensor:
    """Return gain * (de)modulated convolution of x [N,I,h,w] by weight [O,I,k,k] under style [N,I], plus bias [O].

    `convolution` may resample and filter within channels. For one image its weights are modulated, which saves passes
    over the feature. For a batch, the input's channels are scaled by s and the output's by the demodulation instead,
    so that one convolution serves the whole batch; the products are the same.
    """
    if len(x) == 1:
        own, factor = weight * style[0, :, None, None], torch.as_tensor(gain, dtype=weight.dtype, device=weight.device)
        if demodulate:
            energy = torch.linalg.vector_norm(own.flatten(1), dim=1).square()  # [O]
            factor = ((energy + eps).rsqrt() * gain)[:, None, None, None]
        return convolution(x, own * factor, bias)
    if not demodulate:
        return convolution(x * (style * gain)[:, :, None, None], weight, bias)
    y = convolution(x * style[:, :, None, None], weight, None)
    energy = functional.linear(style.square(), weight.square().sum((2, 3)))  # [N,O]
    factor = (energy + eps).rsqrt()[:, :, None, None] * gain
    return y * factor if bias is None else torch.addcmul(bias[:, None, None], y, factor)
