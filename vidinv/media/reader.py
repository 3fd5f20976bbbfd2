"""Frames of a file in order, in batches, with exact times and the decoder's own samples."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from vidinv.errors import InputUnreadable, UsageError
from vidinv.frames import Array, Colour, FrameBatch, Planes
from vidinv.media import formats
from vidinv.media.probe import colour_of, open_video, video_stream


def read(
    path: Path | str, *, batch: int = 8, start_pts: int | None = None, reader: str = "pyav", first: int = 0
) -> Iterator[FrameBatch]:
    """Yield the frames of `path` in presentation order, `batch` at a time.

    `index` counts from 0 over the whole file, whatever is skipped: frames with index < `first` or pts < `start_pts`
    (in the stream's time base) are decoded and dropped. Holds one batch at a time. A damaged or truncated file
    yields every good frame and then raises InputUnreadable with the frame and time where it broke.
    """
    path = Path(path)
    if reader == "pyav":
        frames = _pyav_frames(path, first)
    elif reader == "decord":
        frames = _decord_frames(path, first)
    else:
        raise UsageError(f"unknown reader {reader!r}", remedy="choose pyav or decord")
    return _batched(frames, batch, first, start_pts)


_Item = tuple[int, int, Planes, Colour, Fraction]  # index, pts, planes, colour, time base


def _batched(frames: Iterator[_Item], batch: int, first: int, start_pts: int | None) -> Iterator[FrameBatch]:
    held: list[_Item] = []
    try:
        for item in frames:
            if start_pts is not None and item[1] < start_pts:
                continue
            held.append(item)
            if len(held) == batch:
                yield _pack(held)
                held = []
    except InputUnreadable:
        if held:
            yield _pack(held)
        raise
    if held:
        yield _pack(held)


def _pack(items: list[_Item]) -> FrameBatch:
    index, pts, native, colour, time_base = zip(*items, strict=True)
    return FrameBatch(native=native, colour=colour[0], pts=pts, time_base=time_base[0], index=index)


def _pyav_frames(path: Path, first: int) -> Iterator[_Item]:
    with open_video(path) as container:
        stream = video_stream(container)
        stream.thread_type = "AUTO"
        colour: Colour | None = None
        index, last = 0, None
        try:
            for frame in container.decode(stream):
                pts = _pts(frame, last, stream)
                if index >= first:
                    colour = colour or colour_of(frame, stream.codec_context)
                    yield index, pts, planes_of(frame), colour, stream.time_base
                index, last = index + 1, pts
        except (av.FFmpegError, OSError) as error:
            raise _broken(path, index, last, stream) from error
        if _ends_early(stream, index, last):
            raise _broken(path, index, last, stream)


def _pts(frame: av.VideoFrame, last: int | None, stream: Any) -> int:
    """The frame's own pts; a stream that carries none (raw H.264, some AVI) gets the average frame distance."""
    if frame.pts is not None:
        return frame.pts
    step = round(1 / (Fraction(stream.average_rate or 25) * stream.time_base))
    return 0 if last is None else last + step


def _ends_early(stream: Any, count: int, last: int | None) -> bool:
    """Whether the stream says it holds clearly more than was decoded: cut off, though no packet was damaged."""
    if last is None:
        return True
    if stream.duration is None or not stream.frames:
        return False
    missing = (stream.start_time or 0) + stream.duration - last
    return bool(count < 0.98 * stream.frames - 2 and missing > 0.05 * stream.duration)


def _broken(path: Path, index: int, last: int | None, stream: Any) -> InputUnreadable:
    seconds = 0.0 if last is None else float(last * stream.time_base)
    return InputUnreadable(
        f"{path} is damaged or cut off after {index} good frames (frame {index}, {seconds:.3f} s)",
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


def _decord_frames(path: Path, first: int) -> Iterator[_Item]:
    """Frames through decord, which yields RGB: planes are gbrp; times come from the container's index.

    Frame-exact on H.264 only; kept for comparison, never the default.
    """
    try:
        import decord
    except ImportError as error:
        raise UsageError("the decord reader is not installed", remedy="pip install decord, or use pyav") from error
    times, time_base, full = _packet_times(path)
    try:
        video = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=2)
        if len(video) != len(times):
            raise InputUnreadable(f"{path}: decord counts {len(video)} frames of {len(times)}", remedy="use pyav")
        for index in range(first, len(video)):
            rgb = video[index].asnumpy()  # [H, W, 3]
            planes = tuple(np.ascontiguousarray(rgb[:, :, channel]) for channel in (1, 2, 0))
            yield index, times[index], Planes(planes, "gbrp", 0, 0, 8), full, time_base
    except decord.DECORDError as error:
        raise InputUnreadable(f"{path}: decord cannot decode it", remedy="use the pyav reader") from error


def _packet_times(path: Path) -> tuple[list[int], Fraction, Colour]:
    with open_video(path) as container:
        stream = video_stream(container)
        times = sorted(p.pts for p in container.demux(stream) if p.pts is not None and not p.is_discard)
        return times, stream.time_base, Colour(matrix="bt709", full_range=True)
