"""A checkpoint of StyleGAN3 in its published layout, with random values."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

W, BASE, MOST, LAYERS, SIDE = 16, 64, 8, 5, 32


def bessel_j1(x: np.ndarray) -> np.ndarray:
    """By Bessel's integral: J1(x) = 1/pi int_0^pi cos(t - x sin t) dt."""
    t = (np.arange(4000) + 0.5) * np.pi / 4000
    return np.cos(t - x[..., None] * np.sin(t)).mean(-1)


def design(taps: int, cutoff: float, half_width: float, rate: float, radial: bool) -> Tensor:
    """Appendix C: Kaiser's window for the attenuation that the taps and the transition band allow."""
    attenuation = 2.285 * (taps - 1) * np.pi * (2 * half_width) / (rate / 2) + 7.95
    if attenuation > 50:
        beta = 0.1102 * (attenuation - 8.7)
    else:
        beta = 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21) if attenuation > 21 else 0.0
    place = (np.arange(taps) - (taps - 1) / 2) / rate
    window = np.kaiser(taps, beta)
    if radial:
        radius = np.sqrt(place[:, None] ** 2 + place[None, :] ** 2)
        kernel = 2 * cutoff * bessel_j1(2 * np.pi * cutoff * radius) / (2 * radius) * np.outer(window, window)
    else:
        kernel = np.sin(2 * np.pi * cutoff * place) / (np.pi * place) * window
    return torch.from_numpy(kernel / kernel.sum())


def schedule(index: int) -> tuple[float, float, int, int, int]:
    """Cutoff, half width, rate, canvas side and channels of a layer of the test's network."""
    share = min(index / (LAYERS - 2), 1)
    cutoff = 2 * (SIDE / 2 / 2) ** share
    stopband = 2**2.1 * (SIDE / 2 * 2**0.3 / 2**2.1) ** share
    rate = 2
    while rate < min(2 * stopband, SIDE) - 1e-9:
        rate *= 2
    size = SIDE if index >= LAYERS - 1 else rate + 20
    channels = 3 if index == LAYERS else round(min(BASE / 2 / cutoff, MOST))
    return cutoff, max(stopband, rate / 2) - cutoff, rate, size, channels


def published_state(radial: bool) -> dict[str, Tensor]:
    """Random values under the names and shapes of the published networks; filters of the test's own design."""
    random = torch.Generator().manual_seed(0)
    base, most = (BASE, MOST) if not radial else (2 * BASE, 2 * MOST)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    plan = [schedule(index) for index in range(LAYERS + 1)]
    plan = [(*rest, 3 if i == LAYERS else round(min(base / 2 / rest[0], most))) for i, (*rest, _) in enumerate(plan)]
    state = {"mapping.w_avg": draw(W)}
    for index in range(2):
        state |= {f"mapping.fc{index}.weight": 100 * draw(W, W), f"mapping.fc{index}.bias": 100 * draw(W)}
    first = plan[0][-1]
    state |= {"synthesis.input.weight": draw(first, first), "synthesis.input.freqs": 1.2 * draw(first, 2)}
    state |= {"synthesis.input.phases": draw(first), "synthesis.input.affine.weight": draw(4, W)}
    state |= {"synthesis.input.affine.bias": draw(4)}
    angle = 0.3
    state["synthesis.input.transform"] = torch.tensor(
        [[math.cos(angle), -math.sin(angle), 0.1], [math.sin(angle), math.cos(angle), -0.2], [0, 0, 1]]
    )
    for index, (cutoff, half_width, rate, size, channels) in enumerate(plan):
        below, name = plan[max(index - 1, 0)], f"synthesis.L{index}_{size}_{channels}"
        side = 1 if radial or index == LAYERS else 3
        state[f"{name}.weight"] = draw(channels, below[-1], side, side)
        state |= {f"{name}.bias": draw(channels), f"{name}.magnitude_ema": 0.5 + draw(1)[0].square()}
        state |= {f"{name}.affine.weight": draw(below[-1], W), f"{name}.affine.bias": 1 + 0.3 * draw(below[-1])}
        if index < LAYERS:
            between = 2 * max(rate, below[2])
            up = design(6 * between // below[2], below[0], below[1], between, False)
            down = design(6 * between // rate, cutoff, half_width, between, radial and index < LAYERS - 2)
            state |= {f"{name}.up_filter": up.float(), f"{name}.down_filter": down.float()}
    return state
