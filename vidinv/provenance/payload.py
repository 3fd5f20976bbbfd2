"""Encode and decode the watermark's payload: 54 bits with a checksum, spread over 288 chips by a Reed-Muller code.

6 bits of version, 32 bits of identity and 16 of CRC-CCITT over both are cut into nine groups of six. Each group is one
word of RM(1,5), the biorthogonal code of Mariner 9: 64 words of 32 chips, any two of them at least 16 apart. It is
decoded softly, by one product with the Hadamard matrix. Chip c is position c % 32 of group c % 9: as 9 and 32 have no
common divisor, every position of every group has a chip.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidinv import fileio
from vidinv.frames import Array

VERSION = 1
GROUPS, BITS, LENGTH = 9, 6, 32
CHIPS = GROUPS * LENGTH
# Pure noise scores 7.1 with a standard deviation of 0.4 (nine times the largest of 64 words), a clean mark 17.
SURE = 8.5

_PARITY = np.array([[bin(row & column).count("1") & 1 for column in range(LENGTH)] for row in range(LENGTH)])
_HADAMARD = (1 - 2 * _PARITY).astype(np.float32)  # [32,32], Sylvester's


@dataclass(frozen=True)
class Message:
    """A decoded payload: `identity` as 8 hexadecimal digits, `score` in standard deviations of noise (at most 17)."""

    version: int
    identity: str
    score: float


def identity(source_sha256: str, edits: Sequence[str]) -> str:
    """Return the first 32 bits, as 8 hex digits, of the sha256 over the source's sha256 and the edits, one per line."""
    return fileio.sha256_of_bytes("\n".join([source_sha256, *edits]))[:8]


def encode(name: str) -> Array:
    """Encode the identity `name`, 8 hexadecimal digits, to chips [288] float32 of -1 and 1."""
    number = int(name, 16)
    if len(name) != 8:
        raise ValueError(f"an identity is 8 hexadecimal digits, got {name!r}")
    whole = (VERSION << 48) | (number << 16) | _check(VERSION, number)
    words = np.stack([_word(whole >> (BITS * group) & 63) for group in range(GROUPS)])  # [9,32]
    chip = np.arange(CHIPS)
    return np.asarray(words[chip % GROUPS, chip % LENGTH])


def decode(soft: Array) -> Message | None:
    """Decode sums of votes [N,288]: return the message with the best score whose checksum is correct, or None."""
    energy = np.sqrt((soft**2).sum(1))
    chip = np.arange(CHIPS)
    words = np.zeros((int((energy > 0).sum()), GROUPS, LENGTH), np.float32)
    words[:, chip % GROUPS, chip % LENGTH] = soft[energy > 0]
    likeness = words @ _HADAMARD  # [N,9,32]
    best = np.abs(likeness).argmax(2)
    peak = np.take_along_axis(likeness, best[:, :, None], 2)[:, :, 0]
    values = best + (peak < 0) * LENGTH
    scores = np.abs(peak).sum(1) / energy[energy > 0]
    for n in np.argsort(-scores):
        if scores[n] < SURE:
            return None
        whole = sum(int(value) << (BITS * group) for group, value in enumerate(values[n]))
        version, number, check = whole >> 48, whole >> 16 & 0xFFFFFFFF, whole & 0xFFFF
        if version == VERSION and check == _check(version, number):
            return Message(version, f"{number:08x}", round(float(scores[n]), 2))
    return None


def _word(value: int) -> Array:
    """Return the RM(1,5) word of 6 bits; the highest bit is its sign."""
    return _HADAMARD[value % LENGTH] * (-1 if value >= LENGTH else 1)


def _check(version: int, number: int) -> int:
    return binascii.crc_hqx(bytes([version]) + number.to_bytes(4, "big"), 0xFFFF)
