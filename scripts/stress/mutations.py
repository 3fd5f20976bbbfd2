"""Damage the bytes of a file at random, or by the structure of box-based and number-based formats."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

Mutation = Callable[[bytes, random.Random], bytes]
EXTREMES = (0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
NESTED = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta")


def flip(data: bytes, chance: random.Random) -> bytes:
    """Some bits of the whole file, or of its first part, turned over."""
    made, reach = bytearray(data), chance.choice((len(data), min(len(data), 512)))
    for _ in range(chance.choice((1, 3, 10, 100))):
        made[chance.randrange(reach)] ^= 1 << chance.randrange(8)
    return bytes(made)


def truncate(data: bytes, chance: random.Random) -> bytes:
    """Cut off at any place."""
    return data[: chance.randrange(len(data))]


def noise(data: bytes, chance: random.Random) -> bytes:
    """A stretch of random bytes; now and then all of the file but its first few."""
    begin = chance.choice((4, 12, chance.randrange(len(data))))
    end = len(data) if chance.random() < 0.2 else min(len(data), begin + chance.choice((8, 64, 1024)))
    return data[:begin] + chance.randbytes(max(end - begin, 0)) + data[end:]


def extreme(data: bytes, chance: random.Random) -> bytes:
    """A few numbers of four bytes, of either order, become extreme."""
    made = bytearray(data)
    for _ in range(chance.choice((1, 2, 8))):
        at = chance.randrange(max(len(data) - 4, 1))
        made[at : at + 4] = struct.pack(chance.choice(("<I", ">I")), chance.choice(EXTREMES))
    return bytes(made[: len(data)])


def shuffle(data: bytes, chance: random.Random) -> bytes:
    """Two stretches change places, or one is there twice, or not at all."""
    a, b, c = sorted(chance.randrange(len(data) + 1) for _ in range(3))
    parts = [data[:a], data[a:b], data[b:c], data[c:]]
    order = chance.choice(((0, 2, 1, 3), (0, 1, 1, 2, 3), (0, 2, 3)))
    return b"".join(parts[k] for k in order)


def boxes(data: bytes, chance: random.Random) -> bytes:
    """Of a file of boxes (MP4, QuickTime) two change places, or one is there twice, or is missing, or lies of its size.

    Another file is shuffled.
    """
    found = _boxes(data, 0, len(data))
    if len(found) < 2:
        return shuffle(data, chance)
    depth = chance.randrange(7)
    while depth:  # down to a list of boxes inside one that holds some
        inner = [each for each in found if data[each[0] + 4 : each[0] + 8] in NESTED]
        if not inner:
            break
        begin, end = chance.choice(inner)
        found, depth = _boxes(data, begin + 8, end) or found, depth - 1
    parts = [data[begin:end] for begin, end in found]
    k, other = chance.randrange(len(parts)), chance.randrange(len(parts))
    match chance.randrange(4):
        case 0:
            parts[k], parts[other] = parts[other], parts[k]
        case 1:
            parts.insert(other, parts[k])
        case 2:
            del parts[k]
        case 3:
            parts[k] = struct.pack(">I", chance.choice((*EXTREMES, len(parts[k]) - 1))) + parts[k][4:]
    return data[: found[0][0]] + b"".join(parts) + data[found[-1][1] :]


def _boxes(data: bytes, begin: int, end: int) -> list[tuple[int, int]]:
    """Begin and end of the boxes that lie one after the other between two places."""
    found = []
    while begin + 8 <= end:
        size = int.from_bytes(data[begin : begin + 4], "big")
        if size < 8 or begin + size > end:
            break
        found.append((begin, begin + size))
        begin += size
    return found


ALL: tuple[Mutation, ...] = (flip, truncate, noise, extreme, shuffle, boxes)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """`data` with one damage, sometimes with two. An empty file stays empty."""
    for _ in range(chance.choice((1, 1, 1, 2))):
        data = chance.choice(ALL)(data, chance) if data else data
    return data
