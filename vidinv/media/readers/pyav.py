"""Read frames with PyAV: every format, native samples, and the frames after a damaged packet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from av.container import InputContainer

from vidinv.errors import InputUnreadable
from vidinv.frames import Array, Colour, Display, Planes
from vidinv.media import formats
from vidinv.media.probe import colour_of, display_of
from vidinv.media.readers.base import Decoded
from vidinv.media.source import decode_frames, open_video, video_stream
from vidinv.media.timeline import timeline_of


def frames(path: Path, first: int, number: int | None = None) -> Iterator[Decoded]:
    """Yield every decodable frame of video stream `number` (None: chosen) from index `first` on.

    A frame before damaged data carries the gap to the next. A frame that the decoder concealed errors in is yielded as
    it is, between two gaps. Raises InputUnreadable if nothing decodes, if size or format change, or if an undamaged
    stream ends long before its declared end.
    """
    with open_video(path, number) as container:
        stream = video_stream(container, number)
        stream.thread_type = "AUTO"
        stream.codec_context.flags |= Flags.output_corrupt  # frames with concealed errors are marked as corrupt
        held: Decoded | None = None
        start, is_hurt = 0, False
        for frame, pts, hurt in _timed(container, stream, timeline_of(path).retimer()):
            is_hurt |= hurt
            if held is None:
                gap = (0.0, _seconds(pts, stream)) if hurt else None
                held, start = Decoded(0, pts, planes_of(frame), *_appearance(frame, stream), gap), pts
                continue
            here = replace(held, index=held.index + 1, pts=pts, planes=planes_of(frame), gap=None)
            _check_same(path, held, here)
            if held.index >= first:
                yield _with_gap(held, pts) if hurt else held
            held = here
        if held is None:
            raise _broken(path, 0, 0.0)
        is_short = _ends_early(stream, held.index + 1, start, held.pts)
        if held.index >= first:
            yield _with_gap(held, _end(stream)) if is_hurt and is_short else held
        if is_short and not is_hurt:
            raise _broken(path, held.index + 1, _seconds(held.pts, stream))


def _timed(
    container: InputContainer, stream: Any, retime: Callable[[Any], None]
) -> Iterator[tuple[av.VideoFrame, int, bool]]:
    """Yield frames with growing pts, their pts, and whether data in or between this frame and the last are damaged."""
    last: int | None = None
    hurt = False
    for frame in decode_frames(container, stream, retime):
        pts = None if frame is None else _pts(frame, last, stream)
        if frame is None or pts is None or (last is not None and pts <= last):
            hurt = True  # no encoder accepts two frames with the same pts
            continue
        yield frame, pts, hurt or frame.is_corrupt
        last, hurt = pts, frame.is_corrupt


def _with_gap(frame: Decoded, end: int) -> Decoded:
    return replace(frame, gap=(float(frame.pts * frame.time_base), float(end * frame.time_base)))


def _end(stream: Any) -> int:
    """Return the pts at which the stream ends according to its header."""
    return int((stream.start_time or 0) + stream.duration)


def _appearance(frame: av.VideoFrame, stream: Any) -> tuple[Colour, Fraction, Display]:
    """Return the frame's colour, time base and display; the first frame's apply to all."""
    return colour_of(frame, stream.codec_context), stream.time_base, display_of(frame, stream)


def _check_same(path: Path, before: Decoded, after: Decoded) -> None:
    old, new = (f"{d.planes.width}x{d.planes.height} {d.planes.pix_fmt}" for d in (before, after))
    if old != new:
        raise InputUnreadable(
            f"{path} changes from {old} to {new} at {float(after.pts * after.time_base):.3f} s",
            remedy="cut it there, or convert it to one size and format",
        )


def _seconds(pts: int, stream: Any) -> float:
    return float(pts * stream.time_base)


def _pts(frame: av.VideoFrame, last: int | None, stream: Any) -> int:
    """Return the frame's pts; frames without one (raw H.264, some AVI) follow at the average frame distance."""
    if frame.pts is not None:
        return frame.pts
    step = round(1 / (Fraction(stream.average_rate or 25) * stream.time_base))
    return 0 if last is None else last + step


def _ends_early(stream: Any, count: int, start: int, last: int) -> bool:
    """Return whether the stream declares clearly more frames than were decoded: the file is truncated.

    The frame count alone is not enough: some files count empty packets, which repeat the frame before them.
    """
    if stream.duration is None or not stream.frames or count >= 0.98 * stream.frames - 2:
        return False
    step = (last - start) / max(count - 1, 1)
    missing = (stream.start_time or 0) + stream.duration - last - step
    return bool(missing > 0.05 * stream.duration and missing > 2 * step)


def _broken(path: Path, count: int, seconds: float) -> InputUnreadable:
    return InputUnreadable(
        f"{path} is damaged or cut off after {count} good frames (frame {count}, {seconds:.3f} s)",
        remedy="copy or download it again, or cut it before that time",
    )


def planes_of(frame: av.VideoFrame) -> Planes:
    """Return the frame's samples as read-only views without line padding; non-planar formats are converted first."""
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
    """Return a read-only view [plane.height, plane.width] of one plane's buffer."""
    samples: Array = np.frombuffer(memoryview(plane), dtype)
    stride = plane.line_size // samples.itemsize
    view = np.lib.stride_tricks.as_strided(
        samples, (plane.height, plane.width), (stride * samples.itemsize, samples.itemsize)
    )
    view.flags.writeable = False
    return view
