"""One segment of encoded video: every frame at exactly the time it is given."""

from __future__ import annotations

import errno
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np

from vidinv.errors import OutputUnwritable, UsageError, VidinvError
from vidinv.frames import Planes
from vidinv.media import codecs, formats
from vidinv.media.probe import VideoInfo

SEGMENT_SUFFIX = ".nut"  # NUT keeps any time base and start time exactly; Matroska rounds to 1 ms
_REMEDIES = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EDQUOT: "free some space and run the same command again",
    errno.EACCES: "choose a folder you may write to",
    errno.EPERM: "choose a folder you may write to",
    errno.EROFS: "choose a folder you may write to",
    errno.ENOENT: "create the folder first",
}


def unwritable(path: Path, error: Exception) -> VidinvError:
    """The error to show when writing `path` failed with `error`."""
    number = getattr(error, "errno", None)
    reason = getattr(error, "strerror", None) or str(error)
    return OutputUnwritable(
        f"{path} cannot be written ({reason})", remedy=_REMEDIES.get(number or 0, "choose another output")
    )


class SegmentWriter:
    """Encode frames of one segment into `path` (a NUT file): closed GOPs, no reordering, headers alike in all segments.

    `crf` is x264's scale (lower is better, other encoders are mapped to it); `threads` bounds the encoder's own.
    Raises UsageError when the codec cannot hold the source's samples, OutputUnwritable when the disk says no.
    """

    def __init__(self, path: Path | str, info: VideoInfo, *, codec: str = "auto", crf: int = 17, threads: int = 2):
        self.path = Path(path)
        self.choice = codecs.choose(codec, info.pix_fmt, crf=crf, threads=threads)
        self._info = info
        self._last: int | None = None
        self._container = av.open(str(self.path), "w", format="nut")
        self._stream: Any = self._container.add_stream(
            self.choice.encoder, rate=info.rate, options=dict(self.choice.options)
        )
        self._configure(self._stream.codec_context, threads)
        self._stream.time_base = info.time_base
        try:
            self._container.start_encoding()
        except (av.FFmpegError, OSError) as error:
            if isinstance(error, OSError):
                raise unwritable(self.path, error) from error
            raise UsageError(
                f"{self.choice.encoder} cannot encode {info.width}x{info.height} {self.choice.pix_fmt} ({error})",
                remedy="choose another codec, such as lossless",
            ) from error

    def _configure(self, context: Any, threads: int) -> None:
        info, colour = self._info, self._info.colour
        context.width, context.height, context.pix_fmt = info.width, info.height, self.choice.pix_fmt
        context.time_base, context.framerate = info.time_base, info.rate
        context.thread_count = threads
        context.color_primaries, context.color_trc = colour.primaries_tag, colour.transfer_tag
        context.colorspace, context.color_range = colour.matrix_tag, 2 if colour.full_range else colour.range_tag
        if self.choice.encoder != "ffv1":
            context.gop_size = max(1, min(300, round(info.rate * 10)))

    def write(self, planes: Planes, pts: int) -> None:
        """Encode one frame at `pts` (in the source's time base); pts must grow."""
        if self._last is not None and pts <= self._last:
            raise ValueError(f"pts must grow: {pts} after {self._last} in {self.path.name}")
        self._last = pts
        frame = _frame_of(planes, self.choice.pix_fmt, self._info)
        frame.pts, frame.time_base = pts, self._info.time_base
        self._mux(frame)

    def close(self) -> None:
        """Flush the encoder and finish the file."""
        if self._last is not None:
            self._mux(None)
        try:
            self._container.close()
        except (av.FFmpegError, OSError) as error:
            raise unwritable(self.path, error) from error

    def _mux(self, frame: av.VideoFrame | None) -> None:
        try:
            for packet in self._stream.encode(frame):
                packet.dts = packet.pts
                self._container.mux(packet)
        except (av.FFmpegError, OSError) as error:
            raise unwritable(self.path, error) from error

    def __enter__(self) -> SegmentWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        try:
            self._container.close()
        except (av.FFmpegError, OSError):  # the first error is the one to show
            return


def _frame_of(planes: Planes, pix_fmt: str, info: VideoInfo) -> av.VideoFrame:
    """The planes as an encoder's frame, tagged as the source is; other formats only where `codecs` found no loss."""
    name = formats.without_range(planes.pix_fmt)
    frame = av.VideoFrame(planes.width, planes.height, name)
    target: Any
    for target, samples in zip(frame.planes, planes.planes, strict=True):
        stride = target.line_size // samples.itemsize
        rows = np.frombuffer(memoryview(target), samples.dtype)[: stride * target.height].reshape(target.height, stride)
        rows[:, : target.width] = samples
    if name != pix_fmt:
        frame = frame.reformat(format=pix_fmt)
    frame.color_range = 2 if info.colour.full_range else info.colour.range_tag
    frame.colorspace = info.colour.matrix_tag
    return frame
