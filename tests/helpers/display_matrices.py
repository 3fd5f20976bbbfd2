"""FFmpeg's display matrices of every way to turn and mirror a picture."""

from __future__ import annotations

ONE = 1 << 16


# Every way to turn and mirror: the first two rows of FFmpeg's display matrix.
MATRICES = {
    "turned 90": (0, ONE, -ONE, 0),
    "turned 180": (-ONE, 0, 0, -ONE),
    "turned 270": (0, -ONE, ONE, 0),
    "mirrored": (-ONE, 0, 0, ONE),
    "upside down": (ONE, 0, 0, -ONE),
    "transposed": (0, ONE, ONE, 0),
    "transversed": (0, -ONE, -ONE, 0),
}


def matrix(name: str) -> tuple[int, ...]:
    a, b, c, d = MATRICES[name]
    return (a, b, 0, c, d, 0, 0, 0, 1 << 30)
