"""Read the frames of a file in batches, in presentation order, with exact times and native samples."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from vidinv.errors import InputUnreadable, UsageError
from vidinv.frames import FrameBatch
from vidinv.media.readers import READERS
from vidinv.media.readers.base import CannotRead, Decoded

DEFAULT = "pyav"


def read_frames(
    path: Path | str,
    *,
    batch: int = 8,
    start_pts: int | None = None,
    reader: str = DEFAULT,
    first: int = 0,
    stream: int | None = None,
) -> Iterator[FrameBatch]:
    """Yield the frames of `path` (a file, or a folder of pictures) in presentation order, `batch` at a time.

    `stream` is the number of the video stream (None: the one that `vidinv.media.source.video_stream` chooses).

    `index` counts from 0 over the whole file, whatever is skipped: frames with index < `first` or pts < `start_pts`
    (in the stream's time base) are decoded and dropped. One batch is held at a time. Frames after damaged data are
    yielded with the gap; a truncated file yields every good frame and then raises InputUnreadable with the frame and
    time of the damage. If a reader other than PyAV cannot read the clip, a warning is logged and PyAV continues.
    Raises UsageError for a reader that is unknown or not installed.
    """
    if reader not in READERS:
        raise UsageError(f"unknown reader {reader!r}", remedy=f"choose one of {', '.join(READERS)}")
    return _batched(_frames(Path(path), reader, first, stream), batch, start_pts)


def refusal_reason(path: Path, reader: str, stream: int | None = None) -> str:
    """Return why `reader` cannot start reading the clip, as text for a report; empty if it can."""
    try:
        next(READERS[reader](path, 0, stream), None)
    except CannotRead as error:
        return _hand_over(path, reader, error)
    return ""


def _hand_over(path: Path, reader: str, error: CannotRead) -> str:
    return f"{path.name}: not read by {reader}, {error}; {DEFAULT} reads it instead"


def _frames(path: Path, reader: str, first: int, stream: int | None) -> Iterator[Decoded]:
    try:
        for frame in READERS[reader](path, first, stream):
            yield frame
            first = frame.index + 1
    except CannotRead as error:
        logging.getLogger(__name__).warning("%s", _hand_over(path, reader, error))
        yield from READERS[DEFAULT](path, first, stream)


def _batched(frames: Iterator[Decoded], batch: int, start_pts: int | None) -> Iterator[FrameBatch]:
    held: list[Decoded] = []
    try:
        for item in frames:
            if start_pts is not None and item.pts < start_pts:
                continue
            if held and item.colour != held[0].colour:  # another reader took over
                yield _pack(held)
                held = []
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


def _pack(items: list[Decoded]) -> FrameBatch:
    return FrameBatch(
        native=tuple(item.planes for item in items),
        colour=items[0].colour,
        pts=tuple(item.pts for item in items),
        time_base=items[0].time_base,
        index=tuple(item.index for item in items),
        display=items[0].display,
        gaps=tuple((item.index, *item.gap) for item in items if item.gap is not None),
    )
