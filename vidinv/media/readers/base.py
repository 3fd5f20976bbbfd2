"""What every reader yields, and how one that cannot read a clip says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from vidinv.frames import Array, Colour, Display, Planes
from vidinv.media.probe import probe
from vidinv.media.source import open_video, video_stream

SHOWN = Colour(matrix="bt709", full_range=True)  # of readers that give RGB as it is shown


@dataclass(frozen=True)
class Decoded:
    """One frame: `index` counts from 0, `pts` is in `time_base`.

    `gap` is set where damaged data lie behind it (or before the first one): from when to when, in seconds.
    """

    index: int
    pts: int
    planes: Planes
    colour: Colour
    time_base: Fraction
    display: Display = field(default_factory=Display)
    gap: tuple[float, float] | None = None


class CannotRead(Exception):
    """A reader cannot read this clip as it should be; the text says why. Another takes over."""


@dataclass(frozen=True)
class ContainerTimes:
    """What the container says of a clip for readers that give RGB alone: the pts of every frame shown, in order."""

    times: list[int]
    time_base: Fraction
    display: Display


def eight_bit_clip(path: Path) -> ContainerTimes:
    """The clip's times; CannotRead where RGB of 8 bits, or a count of packets, would not be the truth of it."""
    if path.is_dir():
        raise CannotRead("it is a folder of pictures")
    info = probe(path)
    if info.depth > 8:
        raise CannotRead(f"it has {info.depth} bits a sample and 8 would be left")
    if info.has_alpha:
        raise CannotRead("it has an alpha channel")
    if info.fields:
        raise CannotRead("it is interlaced")
    with open_video(path) as container:
        stream = video_stream(container)
        packets = [packet for packet in container.demux(stream) if packet.size]
        if any(packet.pts is None for packet in packets):
            raise CannotRead("its packets have no times")
        if any(packet.is_discard for packet in packets):
            raise CannotRead("an edit list hides some of its frames")
        return ContainerTimes(sorted(packet.pts for packet in packets), stream.time_base, info.display)


def rgb_planes(rgb: Array) -> Planes:
    """uint8 [H,W,3] as planes G, B, R."""
    return Planes(tuple(np.ascontiguousarray(rgb[:, :, channel]) for channel in (1, 2, 0)), "gbrp", 0, 0, 8)
