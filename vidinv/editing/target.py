"""Find the strength at which a measured attribute has a wanted value (`age=60`)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

REACH = 3.0  # largest strength searched; identity is lost beyond it


@dataclass(frozen=True)
class FoundStrength:
    """A strength and the value that was measured there."""

    strength: float
    value: float


def solve(
    value: Callable[[float], float], wanted: float, slope: float, *, tolerance: float, tries: int = 8
) -> FoundStrength:
    """Find the strength in [-REACH, REACH] whose measured `value` is nearest to `wanted`.

    The search starts at 0 with `slope` (the calibration's change per unit), continues by the secant, and interpolates
    once two trials bracket the value. It ends within `tolerance`, after `tries` measurements, or at the limit of the
    reach or of what can be measured. A value of NaN means that nothing can be measured.
    """
    if slope <= 0:
        raise ValueError(f"the slope must be positive, got {slope} per unit")
    tried = [FoundStrength(0.0, value(0.0))]
    if not math.isfinite(tried[0].value):
        return tried[0]
    for _ in range(tries - 1):
        if abs(wanted - tried[-1].value) <= tolerance:
            break
        strength = max(-REACH, min(REACH, _next(tried, wanted, slope)))
        if any(abs(strength - found.strength) < 1e-3 for found in tried):
            break
        there = value(strength)
        if not math.isfinite(there):
            break
        tried.append(FoundStrength(strength, there))
    return min(tried, key=lambda found: abs(wanted - found.value))


def _next(tried: list[FoundStrength], wanted: float, slope: float) -> float:
    """Return the strength to measure next."""
    below = [found for found in tried if found.value <= wanted]
    above = [found for found in tried if found.value > wanted]
    if below and above:
        low, high = max(below, key=lambda found: found.value), min(above, key=lambda found: found.value)
        share = (wanted - low.value) / (high.value - low.value)
        share = min(max(share, 0.1), 0.9)  # so that a bent curve does not keep one end for ever
        return low.strength + share * (high.strength - low.strength)
    near = min(tried, key=lambda found: abs(wanted - found.value))
    rise = slope
    if len(tried) > 1 and tried[-1].strength != tried[-2].strength:
        measured = (tried[-1].value - tried[-2].value) / (tried[-1].strength - tried[-2].strength)
        rise = max(measured, slope / 4)  # where the curve is flat, steps stay finite
    return near.strength + (wanted - near.value) / rise
