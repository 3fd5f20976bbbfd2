"""Frames through PyAV: every format, the decoder's own samples, and what lies beyond a damaged packet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags

from vidinv.errors import InputUnreadable
from vidinv.frames import Array, Colour, Display, Planes
from vidinv.media import formats
from vidinv.media.probe import colour_of, display_of
from vidinv.media.readers.base import Decoded
from vidinv.media.source import open_video, video_stream

FAILURES = 3  # of the container, one after the other with no packet between: it is not read any further


def frames(path: Path, first: int) -> Iterator[Decoded]:
    """Every frame that decodes, from index `first` on; one with damaged data behind it carries the gap.

    A frame that the decoder patched up is yielded as it is, and lies in a gap. Raises InputUnreadable where nothing
    decodes, where the stream ends long before it says, or where size or format change.
    """
    with open_video(path) as container:
        stream = video_stream(container)
        stream.thread_type = "AUTO"
        stream.codec_context.flags |= Flags.output_corrupt  # patched up, they say so
        held: Decoded | None = None
        begin: float | None = None  # of damage that goes on
        index, start, last = 0, 0, None
        for frame in _decoded(container, stream):
            if frame is None or frame.is_corrupt:
                begin = _seconds(last, stream) if begin is None else begin
            if frame is None:
                continue
            pts = _pts(frame, last, stream)
            if last is not None and pts <= last:  # no player shows two frames at one time, no encoder takes them
                begin = _seconds(last, stream) if begin is None else begin
                continue
            here = Decoded(index, pts, planes_of(frame), *_looks(frame, stream, held))
            _check_same(path, held or here, here)
            gap = None if begin is None or frame.is_corrupt else (begin, _seconds(pts, stream))
            if held is not None and held.index >= first:
                yield held if gap is None else replace(held, gap=gap)
            held = replace(here, gap=gap) if held is None else here
            start = pts if last is None else start
            index, last, begin = index + 1, pts, begin if gap is None else None
        if held is not None and held.index >= first:
            yield held if begin is None else replace(held, gap=(begin, _end(stream, held.pts)))
        if last is None or _ends_early(stream, index, start, last):
            raise _broken(path, index, last, stream)


def _looks(frame: av.VideoFrame, stream: Any, known: Decoded | None) -> tuple[Colour, Fraction, Display]:
    """Colour, time base and display of a frame: those of the one before it, since they are written for the whole."""
    if known is not None:
        return known.colour, known.time_base, known.display
    return colour_of(frame, stream.codec_context), stream.time_base, display_of(frame, stream)


def _check_same(path: Path, before: Decoded, after: Decoded) -> None:
    old, new = (f"{d.planes.width}x{d.planes.height} {d.planes.pix_fmt}" for d in (before, after))
    if old != new:
        raise InputUnreadable(
            f"{path} changes from {old} to {new} at {float(after.pts * after.time_base):.3f} s",
            remedy="cut it there, or convert it to one size and format",
        )


def _end(stream: Any, last: int) -> float:
    """Where the stream says that it ends, in seconds."""
    return _seconds(max(last, (stream.start_time or 0) + (stream.duration or 0)), stream)


def _decoded(container: Any, stream: Any) -> Iterator[av.VideoFrame | None]:
    """The stream's frames; None where data could not be read or decoded."""
    failures = 0
    while failures < FAILURES:
        try:
            for packet in container.demux(stream):
                failures = 0
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    yield None
                    continue
                yield from frames
            return
        except (av.FFmpegError, OSError):
            failures += 1
            yield None


def _seconds(pts: int | None, stream: Any) -> float:
    return 0.0 if pts is None else float(pts * stream.time_base)


def _pts(frame: av.VideoFrame, last: int | None, stream: Any) -> int:
    """The frame's own pts; a stream that carries none (raw H.264, some AVI) gets the average frame distance."""
    if frame.pts is not None:
        return frame.pts
    step = round(1 / (Fraction(stream.average_rate or 25) * stream.time_base))
    return 0 if last is None else last + step


def _ends_early(stream: Any, count: int, start: int, last: int) -> bool:
    """Whether the stream says it holds clearly more than was decoded: cut off, though no packet was damaged.

    The count alone does not tell: some files count empty packets, which stand for a frame that is shown on.
    """
    if stream.duration is None or not stream.frames or count >= 0.98 * stream.frames - 2:
        return False
    step = (last - start) / max(count - 1, 1)
    missing = (stream.start_time or 0) + stream.duration - last - step
    return bool(missing > 0.05 * stream.duration and missing > 2 * step)


def _broken(path: Path, index: int, last: int | None, stream: Any) -> InputUnreadable:
    return InputUnreadable(
        f"{path} is damaged or cut off after {index} good frames (frame {index}, {_seconds(last, stream):.3f} s)",
        remedy="copy or download it again, or cut it before that time",
    )


def planes_of(frame: av.VideoFrame) -> Planes:
    """The frame's samples as read-only views without line padding; a non-planar format is reformatted first."""
    name = formats.planar(frame.format.name)
    if name != frame.format.name:
        pts = frame.pts
        frame = frame.reformat(format=name)
        frame.pts = pts
    shape = formats.layout(name)
    dtype = np.uint8 if shape.depth <= 8 else np.uint16
    return Planes(
        planes=tuple(_view(plane, dtype) for plane in frame.planes[: shape.count]),
        pix_fmt=name,
        sub_x=shape.sub_x,
        sub_y=shape.sub_y,
        depth=shape.depth,
        source=frame,
    )


def _view(plane: Any, dtype: type) -> Array:
    """[plane.height, plane.width] view of one plane's buffer."""
    samples: Array = np.frombuffer(memoryview(plane), dtype)
    stride = plane.line_size // samples.itemsize
    view = np.lib.stride_tricks.as_strided(
        samples, (plane.height, plane.width), (stride * samples.itemsize, samples.itemsize)
    )
    view.flags.writeable = False
    return view
