"""Encode frames into one video segment with exact times."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.container import OutputContainer

from vidinv.errors import UsageError
from vidinv.fileio import unwritable
from vidinv.frames import Colour, Planes
from vidinv.media import codecs, formats
from vidinv.media.codecs import EncoderOptions, SelectedEncoder
from vidinv.media.probe import VideoInfo
from vidinv.media.side_data import Carrier
from vidinv.process import without_real_time_threads

_FORMATS = {"prores_ks": "mov"}  # containers that keep any time base and start time exactly
_FORMAT = "nut"  # of all others; Matroska rounds to 1 ms
_AS_SOURCE = EncoderOptions()
SWSCALE = {"bt601": 5, "bt709": 1, "bt2020": 9, "smpte240m": 7}
INTRA_ONLY = ("ffv1", "prores_ks")
SEGMENT_SUFFIX = ".segment"


class SegmentWriter:
    """Encode frames of one segment into `path`: closed GOPs, no reordering, identical headers in all segments.

    `suffix` is the suffix of the final output; `threads` limits the encoder's threads.
    Raises UsageError if the codec cannot hold the source's samples, OutputUnwritable if writing fails.
    """

    def __init__(
        self,
        path: Path | str,
        info: VideoInfo,
        options: EncoderOptions = _AS_SOURCE,
        *,
        suffix: str = "",
        threads: int = 2,
    ):
        self.path = Path(path)
        self.choice = codecs.select_encoder(options, info, suffix=suffix, threads=threads)
        self._info = info
        self._colour = codecs.output_colour(info.colour, info.pix_fmt, self.choice.pix_fmt)
        self._last: int | None = None
        self._carrier = Carrier(self.choice.encoder)
        self._container = _open_segment(str(self.path.absolute()), self.choice, info)
        self._stream = _open_encoder(self._container, self.choice, info, threads)

    def write(self, planes: Planes, pts: int) -> None:
        """Encode one frame at `pts` (in the source's time base); pts must grow."""
        if self._last is not None and pts <= self._last:
            raise ValueError(f"pts must grow: {pts} after {self._last} in {self.path.name}")
        self._last = pts
        frame = _frame_of(planes, self.choice.pix_fmt, self._info.colour, self._colour, self._carrier)
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


def check_encodable(info: VideoInfo, options: EncoderOptions, suffix: str) -> None:
    """Raise UsageError if the encoder does not accept the source's size or format, or the requested preset."""
    choice = codecs.select_encoder(options, info, suffix=suffix)
    with _open_segment(BytesIO(), choice, info) as container:
        _open_encoder(container, choice, info, threads=1)


def _open_segment(file: str | BytesIO, choice: SelectedEncoder, info: VideoInfo) -> OutputContainer:
    form = _FORMATS.get(choice.encoder, _FORMAT)
    ticks = str(info.time_base.denominator)
    options = {"video_track_timescale": ticks, "movie_timescale": ticks} if form == "mov" else {}
    return av.open(file, "w", format=form, container_options=options)


def _open_encoder(container: OutputContainer, choice: SelectedEncoder, info: VideoInfo, threads: int) -> Any:
    """Add a stream to `container` and open its encoder. Raises UsageError if the encoder refuses the settings."""
    colour = codecs.output_colour(info.colour, info.pix_fmt, choice.pix_fmt)
    stream: Any = container.add_stream(choice.encoder, rate=info.rate, options=dict(choice.options))
    context = stream.codec_context
    context.width, context.height, context.pix_fmt = info.width, info.height, choice.pix_fmt
    context.time_base, context.framerate = info.time_base, info.rate
    context.thread_count = threads
    context.sample_aspect_ratio = info.display.pixel_aspect
    context.color_primaries, context.color_trc = colour.primaries_tag, colour.transfer_tag
    context.colorspace, context.color_range = colour.matrix_tag, 2 if colour.full_range else colour.range_tag
    if choice.encoder not in INTRA_ONLY:
        context.gop_size = max(1, min(300, round(info.rate * 10)))
    stream.time_base = info.time_base
    try:
        with without_real_time_threads():
            container.start_encoding()
    except (av.FFmpegError, OSError) as error:
        if isinstance(error, OSError):
            raise unwritable(Path(container.name), error) from error
        preset = choice.options.get("preset") or choice.options.get("cpu-used") or "none"
        raise UsageError(
            f"{choice.encoder} cannot encode {info.width}x{info.height} {choice.pix_fmt}, preset {preset} ({error})",
            remedy="choose another preset or codec, such as lossless",
        ) from error
    return stream


def _frame_of(planes: Planes, pix_fmt: str, colour: Colour, written: Colour, carrier: Carrier) -> av.VideoFrame:
    """Return the planes as an encoder frame tagged with `written`; converted only on request or without loss."""
    name = formats.without_range(planes.pix_fmt)
    carried = carrier.frame_for(planes.source)
    frame = carried if carried is not None and carried.format.name == name else None
    frame = av.VideoFrame(planes.width, planes.height, name) if frame is None else frame
    target: Any
    for target, samples in zip(frame.planes, planes.planes, strict=True):
        stride = target.line_size // samples.itemsize
        rows = np.frombuffer(memoryview(target), samples.dtype)[: stride * target.height].reshape(target.height, stride)
        rows[:, : target.width] = samples
    if name != pix_fmt:
        frame = frame.reformat(
            format=pix_fmt,
            src_colorspace=SWSCALE[colour.matrix],
            dst_colorspace=SWSCALE[written.matrix],
            src_color_range=2 if colour.full_range else 1,
            dst_color_range=2 if written.full_range else 1,
        )
    frame.color_range = 2 if written.full_range else written.range_tag
    frame.colorspace = written.matrix_tag
    return frame
