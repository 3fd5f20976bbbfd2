"""Convert PQ and HLG (HDR) signals to an SDR working space and back by a smooth, invertible map.

Signal -> linear light, 1 = reference white (ITU-R BT.2408: 203 cd/m2 in PQ, 75 % signal in HLG) -> BT.709 primaries
-> shoulder -> the sRGB curve. Below half of reference white the picture is what an SDR camera would have made; above,
the shoulder, a logarithm that continues the straight line, puts the format's peak at 1. Each step is strictly
monotone and extended oddly below zero (colours outside BT.709), so that the whole has an inverse.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from vidinv.frames import Array, Colour

PQ, HLG = 16, 18  # H.273 transfer characteristics
KNEE = 0.5  # of reference white, where the shoulder begins
WHITE_PQ = 203 / 10000  # of the peak
WHITE_HLG = 0.75  # of the signal

# SMPTE ST 2084
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
# ARIB STD-B67
_A = 0.17883277
_B, _C = 1 - 4 * _A, 0.5 - _A * math.log(4 * _A)

_D65 = (0.3127, 0.3290)
_PRIMARIES = {  # H.273 colour primaries: x, y of red, green, blue
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}


def is_hdr(colour: Colour) -> bool:
    """Return whether the signal is PQ or HLG."""
    return colour.transfer_tag in (PQ, HLG)


def to_working(signal: Array, colour: Colour) -> Array:
    """Convert an RGB signal [...,3] in [0,1] to SDR [...,3] float64, about [0,1]; negative outside BT.709."""
    linear = _light(np.clip(signal.astype(np.float64), 0, 1), colour.transfer_tag) / _white(colour.transfer_tag)
    linear = linear @ _to_709(colour.primaries_tag).T
    size = np.abs(linear)
    return np.asarray(np.copysign(_srgb(_shoulder(size, _peak(colour.transfer_tag))), linear))


def to_signal(working: Array, colour: Colour) -> Array:
    """Invert `to_working`: return the RGB signal [...,3] float64, clipped to [0,1]."""
    working = working.astype(np.float64)
    size = _from_shoulder(_from_srgb(np.abs(working)), _peak(colour.transfer_tag))
    linear = np.copysign(size, working) @ np.linalg.inv(_to_709(colour.primaries_tag)).T
    return np.asarray(np.clip(_signal(np.clip(linear * _white(colour.transfer_tag), 0, 1), colour.transfer_tag), 0, 1))


def signal_delta(signal: Array, delta: Array, colour: Colour) -> Array:
    """Return the change [h,w,3] of the RGB `signal` [h,w,3] that changes its SDR picture by `delta` [h,w,3].

    The change is 0 where `delta` is 0, and limited to the format's peak.
    """
    working = to_working(signal, colour)
    limit = np.maximum(1, np.abs(working))
    changed = to_signal(np.clip(working + delta, -limit, limit), colour) - to_signal(working, colour)
    return np.asarray(np.where(np.any(delta != 0, axis=-1, keepdims=True), changed, 0), np.float32)


def _light(signal: Array, transfer: int) -> Array:
    """Return the format's linear light in [0,1]: display light for PQ, scene light for HLG."""
    if transfer == PQ:
        root = signal ** (1 / _M2)
        return (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - _C) / _A) + _B) / 12)


def _signal(light: Array, transfer: int) -> Array:
    if transfer == PQ:
        root = light**_M1
        return ((_C1 + _C2 * root) / (1 + _C3 * root)) ** _M2
    return np.where(light <= 1 / 12, np.sqrt(3 * light), _A * np.log(np.maximum(12 * light - _B, 1e-9)) + _C)


def _white(transfer: int) -> float:
    return WHITE_PQ if transfer == PQ else float(_light(np.array(WHITE_HLG), HLG))


def _peak(transfer: int) -> float:
    """Return the format's peak light in units of reference white."""
    return 1 / _white(transfer)


@lru_cache
def _strength(peak: float) -> float:
    """s with KNEE + s ln(1 + (peak - KNEE) / s) = 1, by bisection: the left side grows with s."""
    low, high = 1e-6, 1.0
    for _ in range(80):
        middle = (low + high) / 2
        if KNEE + middle * math.log1p((peak - KNEE) / middle) < 1:
            low = middle
        else:
            high = middle
    return high


def _shoulder(light: Array, peak: float) -> Array:
    s = _strength(peak)
    return np.where(light <= KNEE, light, KNEE + s * np.log1p(np.maximum(light - KNEE, 0) / s))


def _from_shoulder(value: Array, peak: float) -> Array:
    s = _strength(peak)
    return np.where(value <= KNEE, value, KNEE + s * np.expm1(np.maximum(value - KNEE, 0) / s))


def _srgb(light: Array) -> Array:
    """IEC 61966-2-1."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _from_srgb(value: Array) -> Array:
    return np.where(value <= 12.92 * 0.0031308, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


@lru_cache
def _to_709(primaries: int) -> Array:
    """Return the matrix [3,3] from linear RGB of these primaries to BT.709; unknown HDR primaries mean BT.2020."""
    return np.linalg.inv(_to_xyz(1)) @ _to_xyz(primaries if primaries in _PRIMARIES else 9)


def _to_xyz(primaries: int) -> Array:
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in _PRIMARIES[primaries]]).T
    white = np.array([_D65[0] / _D65[1], 1, (1 - sum(_D65)) / _D65[1]])
    return columns * np.linalg.solve(columns, white)
