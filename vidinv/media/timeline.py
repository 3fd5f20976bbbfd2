"""Follow a file's time over places where it jumps, and start it at 0 or later: one shift per part for all streams.

Recordings that were joined byte by byte, recorders that reset their clock, and transport streams that begin before the
wrap of their clock have such times. Every reader of a file applies the same shifts, so that its streams stay together.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

from vidinv.media.source import is_cover, open_video, read_packets

JUMP_BACK = 0.1  # seconds by which a stream's decoding time must fall to be a jump; less is jitter
JUMP_AHEAD = 10.0  # seconds without a packet of any stream that are a jump, in the formats of `_RESTARTING`
_INTERLEAVED = 5.0  # seconds by which the streams of one part may be apart in file order
_CONTINUES = 0.5  # seconds of silence after which a stream may have moved to the part of the others
_NAMED = 5  # jumps that a warning names one by one
_UNSCANNED = ("mov", "_pipe", "gif", "h264", "hevc", "m4v", "mjpeg", "obu")  # times cannot jump, or there are none
_RESTARTING = ("mpegts", "mpeg")
_PRIMING = ("matroska", "ogg")  # sound before 0 is the decoder's lead-in, which is not heard


@dataclass
class _Extent:
    """What one stream holds of one part, in ticks: the first and the end of decoding and of presentation times."""

    dts: int
    dts_end: int
    pts: int
    pts_end: int

    def add(self, dts: int, pts: int, duration: int) -> None:
        self.dts, self.dts_end = min(self.dts, dts), max(self.dts_end, dts + duration)
        self.pts, self.pts_end = min(self.pts, pts), max(self.pts_end, pts + duration)


@dataclass
class _Stream:
    """The state of one stream during the scan."""

    base: Fraction
    is_video: bool
    part: int = 0
    last: int | None = None  # ticks, of the last packet's dts
    step: int = 0
    extents: dict[int, _Extent] = field(default_factory=dict)


@dataclass(frozen=True)
class Timeline:
    """The shift of every part of a file, in seconds, and for each stream the packets (counted from 0) that begin parts.

    Without any shift the times of the file are used as they are.
    """

    shifts: tuple[Fraction, ...] = (Fraction(0),)
    begins: dict[int, tuple[list[int], list[int]]] = field(default_factory=dict)  # packet numbers, and their parts
    warnings: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether every time is used as it is in the file."""
        return not any(self.shifts)

    def retimer(self) -> Callable[[Any], None]:
        """Return a function that shifts the packets of one reading of the file, which it must be given in order."""
        counts: dict[int, int] = {}

        def retime(packet: Any) -> None:
            index = packet.stream.index  # a decoder's flush packet at the end has no other
            number = counts[index] = counts.get(index, -1) + 1
            starts, parts = self.begins.get(index, ([0], [0]))
            shift = round(self.shifts[parts[bisect.bisect(starts, number) - 1]] / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + shift
            packet.dts = None if packet.dts is None else packet.dts + shift

        return (lambda packet: None) if self.is_plain else retime


def timeline_of(path: Path) -> Timeline:
    """Read the packets of `path` and return its timeline. Raises InputUnreadable as `open_video` does."""
    if path.is_dir():
        return Timeline()
    try:
        known = path.stat()
    except OSError:
        return Timeline()  # opening it says why
    return _scan(path.absolute(), (known.st_size, known.st_mtime_ns, known.st_ino))


@lru_cache(maxsize=4)
def _scan(path: Path, stamp: tuple[int, int, int]) -> Timeline:
    """`timeline_of`, remembered for a file whose size, time and inode (`stamp`) are the same."""
    with open_video(path) as container:
        form = container.format.name
        if any(name in form for name in _UNSCANNED):
            return Timeline()
        scan = _Scan(restarts=form in _RESTARTING)
        for packet in read_packets(container, list(container.streams)):
            if packet is not None:
                scan.add(packet)
    return scan.timeline(primes=any(name in form for name in _PRIMING))


class _Scan:
    """Divides the packets of a file into parts, each with times that grow."""

    def __init__(self, *, restarts: bool) -> None:
        self.restarts = restarts
        self.streams: dict[int, _Stream] = {}
        self.counts: dict[int, int] = {}
        self.begins: dict[int, tuple[list[int], list[int]]] = {}
        self.latest = [float("-inf")]  # per part: the last dts of any stream, in seconds

    def add(self, packet: Any) -> None:
        """Assign one packet to a part."""
        index = packet.stream.index
        number = self.counts[index] = self.counts.get(index, -1) + 1
        part = self._timed(packet) if packet.stream.type in ("audio", "video") else len(self.latest) - 1
        starts, parts = self.begins.setdefault(index, ([0], [0]))
        if part != parts[-1]:
            starts.append(number)
            parts.append(part)

    def _timed(self, packet: Any) -> int:
        """The part of a packet of sound or picture; a jump of its stream opens a part, or joins one that is open."""
        known = self.streams.get(packet.stream.index)
        if packet.dts is None or not packet.size or is_cover(packet.stream):
            return known.part if known is not None else 0
        if known is None:
            known = _Stream(packet.time_base, packet.stream.type == "video", len(self.latest) - 1)
            self.streams[packet.stream.index] = known
        dts = float(packet.dts * packet.time_base)
        if known.last is not None:
            known.part = self._part(known, dts)
            known.step = packet.duration or max(packet.dts - known.last, 0) or known.step
        known.last = packet.dts
        self.latest[known.part] = dts
        pts = packet.dts if packet.pts is None else packet.pts
        extent = known.extents.setdefault(known.part, _Extent(packet.dts, packet.dts, pts, pts))
        extent.add(packet.dts, pts, packet.duration or min(known.step, round(1 / packet.time_base)))
        return known.part

    def _part(self, stream: _Stream, dts: float) -> int:
        assert stream.last is not None
        last = float(stream.last * stream.base)
        later = range(stream.part + 1, len(self.latest))
        if dts < last - JUMP_BACK or (self.restarts and dts > self.latest[stream.part] + JUMP_AHEAD):
            fitting = [part for part in later if abs(dts - self.latest[part]) <= _INTERLEAVED]
            if not fitting:
                self.latest.append(dts)
            return fitting[0] if fitting else len(self.latest) - 1
        silence = dts - last - float(stream.step * stream.base)
        if silence <= _CONTINUES:
            return stream.part
        return min((stream.part, *later), key=lambda p: silence if p == stream.part else abs(dts - self.latest[p]))

    def timeline(self, *, primes: bool) -> Timeline:
        """The shifts that make the parts follow each other; the first part begins at 0 or later.

        With `primes`, sound before 0 stays there.
        """
        first = [
            extent.pts * stream.base
            for stream in self.streams.values()
            if (extent := stream.extents.get(0)) is not None and (stream.is_video or not primes)
        ]
        late = max(Fraction(0), -min(first, default=Fraction(0)))
        shifts, jumps = [late], []
        for part in range(1, len(self.latest)):
            shifts.append(self._shift(part, shifts))
            jumps.append(self._jump(part, shifts))
        warnings = [f"time begins before 0: all streams are {float(late):.3f} s later"] if late else []
        if jumps:
            more = f" and at {len(jumps) - _NAMED} further places" if len(jumps) > _NAMED else ""
            warnings.append(
                f"time jumps {', '.join(jumps[:_NAMED])}{more}: what follows is carried on from there without a gap"
            )
        return Timeline(tuple(shifts), self.begins if any(shifts) else {}, tuple(warnings))

    def _shift(self, part: int, shifts: list[Fraction]) -> Fraction:
        """The least shift with which no stream of `part` begins before its earlier parts end."""
        least = []
        for stream in self.streams.values():
            here = stream.extents.get(part)
            for earlier, extent in stream.extents.items():
                if here is not None and earlier < part:
                    behind = max(extent.dts_end - here.dts, extent.pts_end - here.pts)
                    least.append(shifts[earlier] + behind * stream.base)
        return max(least, default=shifts[-1])

    def _jump(self, part: int, shifts: list[Fraction]) -> str:
        """Say by how much time jumps where `part` begins, and where that is in seconds from the first frame."""
        by = float(shifts[part] - shifts[part - 1])
        starts = {
            p: shifts[p] + stream.extents[p].pts * stream.base
            for stream in sorted(self.streams.values(), key=lambda each: each.is_video)
            for p in (0, part)
            if p in stream.extents
        }
        place = float(starts.get(part, Fraction(0)) - starts.get(0, Fraction(0)))
        return f"{'back' if by > 0 else 'ahead'} by {abs(by):.3f} s at {place:.3f} s"
