"""Define the interface of frame readers: the decoded frame, and the error of a reader that cannot read a clip."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from vidinv.frames import Array, Colour, Display, Planes
from vidinv.media.probe import probe
from vidinv.media.source import open_video, video_stream
from vidinv.media.timeline import timeline_of

SHOWN = Colour(matrix="bt709", full_range=True)  # of readers that return RGB as displayed


@dataclass(frozen=True)
class Decoded:
    """One decoded frame: `index` counts from 0, `pts` is in `time_base`.

    `gap` is (from, to) in seconds where damaged data follow the frame (or precede the first frame), else None.
    """

    index: int
    pts: int
    planes: Planes
    colour: Colour
    time_base: Fraction
    display: Display = field(default_factory=Display)
    gap: tuple[float, float] | None = None


class CannotRead(Exception):
    """A reader cannot read this clip exactly; the text gives the reason, and another reader takes over."""


@dataclass(frozen=True)
class ContainerTimes:
    """Times of a clip from its container, for readers that return RGB alone: the pts of every shown frame, in order."""

    times: list[int]
    time_base: Fraction
    display: Display


def eight_bit_clip(path: Path, number: int | None) -> ContainerTimes:
    """Return the clip's times. Raises CannotRead if 8-bit RGB or the packet count does not represent it exactly."""
    if path.is_dir():
        raise CannotRead("it is a folder of pictures")
    info = probe(path, number)
    if info.depth > 8:
        raise CannotRead(f"it has {info.depth} bits per sample, of which 8 would remain")
    if info.has_alpha:
        raise CannotRead("it has an alpha channel")
    if info.fields:
        raise CannotRead("it is interlaced")
    if info.other_films:
        raise CannotRead("it has several video streams")
    if not timeline_of(path).is_plain:
        raise CannotRead("its time jumps or begins before 0")
    with open_video(path) as container:
        stream = video_stream(container)
        packets = [packet for packet in container.demux(stream) if packet.size]
        if any(packet.pts is None for packet in packets):
            raise CannotRead("its packets have no times")
        if any(packet.is_discard for packet in packets):
            raise CannotRead("an edit list hides some of its frames")
        return ContainerTimes(sorted(packet.pts for packet in packets), stream.time_base, info.display)


def rgb_planes(rgb: Array) -> Planes:
    """Convert RGB uint8 [H,W,3] to planes G, B, R."""
    return Planes(tuple(np.ascontiguousarray(rgb[:, :, channel]) for channel in (1, 2, 0)), "gbrp", 0, 0, 8)
