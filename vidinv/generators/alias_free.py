"""Compute the cutoffs, sampling rates and filters of StyleGAN3's layers (Karras et al., "Alias-Free GANs").

Frequencies are in cycles per image side. Filters are Kaiser-windowed: sinc in one dimension, jinc where radial.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

FIRST_CUTOFF, FIRST_STOPBAND = 2.0, 2**2.1
LAST_STOPBAND_RATIO = 2**0.3  # over the last cutoff
MARGIN = 10  # samples around the canvas of every layer but the last two
TAPS = 6  # per factor of resampling
OVERSAMPLING = 2  # for the nonlinearity


@dataclass(frozen=True)
class Signal:
    """Output signal of a layer: band, sampling rate, canvas side in samples (including margins) and channels."""

    cutoff: float
    half_width: float  # of the transition band
    rate: int
    size: int
    channels: int


def signals(resolution: int, layers: int, critical: int, channel_base: int, channel_max: int) -> list[Signal]:
    """Return the signals of layers 0 to `layers` (the RGB image); the last `critical` ones are critically sampled.

    Section 3 and appendix C: cutoff and stopband grow geometrically and then stay; the rate is the next power of two
    over twice the stopband.
    """
    if layers <= critical or resolution < 16 or resolution & (resolution - 1):
        raise ValueError(f"cannot lay out {layers} layers ({critical} critical) for {resolution} pixels")
    last = resolution / 2
    made = []
    for index in range(layers + 1):
        share = min(index / (layers - critical), 1.0)
        cutoff = FIRST_CUTOFF * (last / FIRST_CUTOFF) ** share
        stopband = FIRST_STOPBAND * (last * LAST_STOPBAND_RATIO / FIRST_STOPBAND) ** share
        # Rounded before the logarithm, so that rounding errors at powers of two do not increase the result.
        rate = 2 ** math.ceil(math.log2(round(min(2 * stopband, resolution), 6)))
        size = resolution if index >= layers - 1 else rate + 2 * MARGIN
        channels = 3 if index == layers else round(min(channel_base / 2 / cutoff, channel_max))
        made.append(Signal(cutoff, max(stopband, rate / 2) - cutoff, rate, size, channels))
    return made


@dataclass(frozen=True)
class Resampling:
    """Resampling between two signals: factors and taps of the filters around the nonlinearity, and padding."""

    up: int
    down: int
    up_taps: int  # 1 for no filter
    down_taps: int
    padding: tuple[int, int]  # of the upsampled canvas, both axes
    rate: int  # between the filters


def resampling(before: Signal, after: Signal, side: int, *, to_rgb: bool) -> Resampling:
    """Return the resampling of a layer whose convolution is `side` wide (padded by side - 1)."""
    rate = max(before.rate, after.rate) * (1 if to_rgb else OVERSAMPLING)
    up, down = rate // before.rate, rate // after.rate
    up_taps = TAPS * up if up > 1 and not to_rgb else 1
    down_taps = TAPS * down if down > 1 and not to_rgb else 1
    # The padding gives the canvas its size and keeps its centre.
    total = (after.size - 1) * down + 1 - (before.size + side - 1) * up + up_taps + down_taps - 2
    low = (total + up) // 2
    return Resampling(up, down, up_taps, down_taps, (low, total - low), rate)


def low_pass(taps: int, cutoff: float, width: float, rate: float, *, radial: bool = False) -> Tensor | None:
    """Kaiser-windowed low-pass filter [T], or [T,T] where radial, of sum 1; None for a single tap.

    `width`: of the transition band, by which the window's attenuation A = 2.285 (T - 1) pi width / (rate / 2) + 7.95
    and its beta are chosen (Kaiser's formulas).
    """
    if taps == 1:
        return None
    attenuation = 2.285 * (taps - 1) * math.pi * width / (rate / 2) + 7.95
    window = torch.kaiser_window(taps, periodic=False, beta=_beta(attenuation), dtype=torch.float64, device="cpu")
    place = (torch.arange(taps, dtype=torch.float64, device="cpu") - (taps - 1) / 2) / rate
    if radial:
        radius = torch.hypot(place[:, None], place[None])
        wave = torch.special.bessel_j1(2 * math.pi * cutoff * radius) / (math.pi * radius)
        kernel = wave * torch.outer(window, window)
    else:
        kernel = torch.sinc(2 * cutoff * place) * window
    return (kernel / kernel.sum()).float()


def _beta(attenuation: float) -> float:
    """Return Kaiser's beta for an attenuation in dB."""
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    if attenuation > 21:
        return 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    return 0.0
