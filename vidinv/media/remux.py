"""Assemble the output file from the encoded segments and stream copies of the source's other streams."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer

from vidinv import fileio
from vidinv.errors import InputUnreadable, OutputUnwritable, UsageError
from vidinv.media import formats, side_data
from vidinv.media.codecs import output_colour
from vidinv.media.other_streams import ISO, OutputFile, Passage, Timed, add_stream, codec_of, in_order, other_packets
from vidinv.media.probe import colour_of, display_matrix
from vidinv.media.source import first_frame, is_cover, open_video, video_stream
from vidinv.media.timeline import timeline_of

_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
# Metadata keys that describe the source's file or its video encoding and would be wrong in the output.
_FILE_KEYS = {"major_brand", "minor_version", "compatible_brands", "encoder"}
_VIDEO_KEYS = {"encoder", "vendor_id", "DURATION", "BPS", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES"}


@dataclass(frozen=True)
class _SourceStreams:
    """The source's path, its open container and its video stream."""

    source: Path
    container: InputContainer
    video: Any


# Errors by which a muxer refuses a damaged packet.
DAMAGED = (av.error.InvalidDataError, av.error.ArgumentError, av.error.PatchWelcomeError)


def is_written(path: Path) -> bool:
    """Return whether `assemble` can write a container with the file name's suffix."""
    return path.suffix.lower() in _FORMATS


def assemble(
    segments: list[Path], source: Path, output: Path, *, metadata: dict[str, str], stream: int | None = None
) -> list[str]:
    """Write `output` with the video of `segments` in order and every other stream of `source`, packet by packet.

    `segments` replace the source's video stream number `stream` (None: the one that `video_stream` chooses).

    The output keeps the pts of every frame, the display matrix, the sample aspect ratio, the bytes of audio, subtitle
    and data packets, chapters, attachments, and stream and container metadata, to which `metadata` is added. Streams
    that the container cannot hold are left out and named in the returned warnings. Memory does not grow with the
    clip. Sound that it cannot hold is converted (`vidinv.media.sound`), with a warning. The file is written under a
    temporary name in the folder of `output` and renamed when complete; a failure leaves nothing behind.
    Raises UsageError (suffix, codec), InputUnreadable, OutputUnwritable.
    """
    source, output = Path(source), Path(output)
    if not is_written(output):
        raise UsageError(f"{output.name}: unknown file format", remedy=f"end the name in {', '.join(_FORMATS)}")
    with fileio.replacing(output) as draft:
        return _write(segments, (source, stream), draft, output, metadata)


def _write(
    segments: list[Path], chosen: tuple[Path, int | None], name: Path, output: Path, metadata: dict[str, str]
) -> list[str]:
    """Write the file `name`, which becomes `output`, with `segments` for the `chosen` video stream of its file."""
    warnings: list[str] = []
    form = _FORMATS[output.suffix.lower()]
    source, number = chosen
    timeline = timeline_of(source)
    with open_video(source, number) as origin, av.open(str(segments[0].absolute())) as head:
        video = video_stream(origin, number)
        given = _SourceStreams(source, origin, video)
        options = _options(form, video)
        if form in ISO and any(is_cover(stream) for stream in origin.streams):
            options["movflags"] = "faststart"  # mp4 holds a cover picture or free metadata keys, not both
            metadata = {"comment": "; ".join(f"{key}={value}" for key, value in metadata.items())}
        try:
            with av.open(str(name.absolute()), "w", format=form, container_options=options) as result:
                target, passages = _add_streams(result, given, head.streams.video[0], form, output, warnings)
                kept = {key: value for key, value in origin.metadata.items() if key not in _FILE_KEYS}
                result.metadata.update(kept | metadata)
                result.set_chapters(origin.chapters())
                result.start_encoding()
                last = 0 if not timeline.is_plain else None
                own = _video_packets(segments, given, target, last)
                if _is_coarse(target, video):
                    warnings.append(f"{output.suffix} keeps times to 1 ms only; .mp4 keeps this source's exactly")
                others = in_order(other_packets(origin, passages, timeline.retimer()), warnings)
                lost = _mux(result, heapq.merge(own, others, key=lambda item: item[0]))
                place = target.index
            carried = side_data.names_in(name, place)
            lost_data = [name for name in side_data.names_in(source, video.index) if name not in carried]
            codec = codec_of(head.streams.video[0])
            warnings += [f"{codec} in {output.suffix} does not keep the source's {each}" for each in lost_data]
            later = _start_time(name, place) - _start_time(segments[0])
            if later > 0.0015:
                warnings.append(f"{output.suffix} has no time before 0: all streams are {later:.3f} s later")
        except DAMAGED as error:
            raise _copy_error(source) from error
        except (av.FFmpegError, OSError) as error:
            raise fileio.unwritable(output, error) from error
    if lost:
        if _count(name, place) < sum(map(_count, segments)):
            raise _copy_error(source)
        warnings.append(f"damaged packets of other streams were left out: {lost}")
    return warnings


def _mux(result: OutputContainer, timed: Iterator[Timed]) -> int:
    """Mux the packets and return how many the muxer refused as damaged."""
    lost = 0
    for _, packet in timed:
        try:
            result.mux(packet)
        except DAMAGED:  # this packet, or an earlier one that the muxer had buffered
            lost += 1
    return lost


def _copy_error(source: Path) -> InputUnreadable:
    return InputUnreadable(
        f"{source}: damaged streams other than its video cannot be copied", remedy="repair the file first"
    )


def _count(path: Path, stream: int = 0) -> int:
    """Return the number of packets of a file's stream number `stream`."""
    with av.open(str(path.absolute())) as container:
        return sum(packet.pts is not None for packet in container.demux(container.streams[stream]))


def _start_time(path: Path, stream: int = 0) -> float:
    """Return the time of the first packet of a file's stream number `stream`, in seconds."""
    with av.open(str(path.absolute())) as container:
        packets = container.demux(container.streams[stream])
        return next((float(p.pts * p.time_base) for p in packets if p.pts is not None), 0.0)


def _is_coarse(stream: Any, video: Any) -> bool:
    """Return whether the muxer's time base for `stream` cannot express every tick of the source's `video` stream."""
    return (video.time_base / stream.time_base).denominator != 1


def _options(form: str, video: Any) -> dict[str, str]:
    """Return the muxer options: mp4 and mov keep the source's ticks (video track and movie) and any metadata key."""
    if form not in ISO:
        return {}
    ticks = video.time_base.denominator
    bases = [stream.time_base.denominator for stream in video.container.streams if stream.time_base]
    movie = math.lcm(1000, *bases)  # edit lists give the start of each stream in this time scale
    movie = movie if movie < 1 << 31 else ticks
    found = {"movflags": "faststart+use_metadata_tags", "video_track_timescale": str(ticks)}
    found["movie_timescale"] = str(movie)
    if "timecode" in video.metadata:
        found["write_tmcd"] = "1"
    return found


def _add_streams(
    result: OutputContainer, given: _SourceStreams, encoded: Any, form: str, output: Path, warnings: list[str]
) -> tuple[Any, dict[int, Passage]]:
    """Add the output's streams in the source's order.

    Returns the edited video's, and the passages of the others by the source's stream index.
    """
    target: Any = None
    passages: dict[int, Passage] = {}
    written = OutputFile(result, form, output.suffix)
    for stream in given.container.streams:
        if stream.index == given.video.index:
            target = _add_video(result, given, encoded, form, output)
        elif not _is_chapter_track(stream, given.container) and not _is_timecode(stream):
            passage = add_stream(written, stream, warnings)
            if passage is not None:
                passages[stream.index] = passage
    return target, passages


def _add_video(result: OutputContainer, given: _SourceStreams, encoded: Any, form: str, output: Path) -> Any:
    video = given.video
    try:
        stream = result.add_stream_from_template(encoded, opaque=True)
    except ValueError as error:
        raise UsageError(
            f"{output.suffix} cannot hold {codec_of(encoded)} video ({output.name})",
            remedy="name the output .mkv, or .mp4 for exact times",
        ) from error
    stream.time_base = video.time_base
    rate = video.average_rate or encoded.average_rate
    if rate is not None:  # a NUT file of two frames has none
        stream.codec_context.framerate = rate
    if video.sample_aspect_ratio:
        stream.codec_context.sample_aspect_ratio = video.sample_aspect_ratio
    if codec_of(encoded) == "hevc" and form in ISO:
        stream.codec_context.codec_tag = "hvc1"
    elif codec_of(encoded) == "prores" and form in ISO:
        stream.codec_context.codec_tag = encoded.codec_context.codec_tag  # the profile; the muxer's default is 422 HQ
    _copy_appearance(stream, given, encoded.codec_context.pix_fmt)
    stream.metadata.update(
        {key: value for key, value in video.metadata.items() if key.split("-")[0] not in _VIDEO_KEYS}
    )
    stream.disposition = video.disposition
    return stream


def _copy_appearance(stream: Any, given: _SourceStreams, pix_fmt: str) -> None:
    """Copy the display matrix and colour tags of the source's first frame into the container's own fields."""
    with open_video(given.source, given.video.index) as container:
        video = video_stream(container, given.video.index)
        frame = first_frame(container, video)
        assert frame is not None  # it was read twice
        colour = output_colour(colour_of(frame, video.codec_context), formats.planar(frame.format.name), pix_fmt)
        stream.set_display_matrix(display_matrix(frame))
    context = stream.codec_context
    context.color_primaries, context.color_trc = colour.primaries_tag, colour.transfer_tag
    context.colorspace, context.color_range = colour.matrix_tag, 2 if colour.full_range else colour.range_tag


def _is_chapter_track(stream: Any, origin: InputContainer) -> bool:
    """Return whether this is QuickTime's chapter text track, which FFmpeg reads as chapters and the muxer rewrites."""
    return stream.type == "data" and bool(origin.chapters()) and codec_of(stream) == "bin_data"


def _is_timecode(stream: Any) -> bool:
    """Return whether this is QuickTime's timecode track, which the muxer rewrites from the video's `timecode`.

    It has one sample; a camera's metadata track (rtmd), of which FFmpeg reads a timecode too, has one for every frame.
    """
    return stream.type == "data" and "timecode" in stream.metadata and stream.frames <= 1


def _video_packets(segments: list[Path], given: _SourceStreams, target: Any, last: int | None) -> Iterator[Timed]:
    """Yield the packets of all segments in the source's time base.

    Each packet lasts until the next one; the last `last` ticks, or as long as the one before (0), or (None) until the
    end of the source.
    """
    base = given.video.time_base
    held: Any = None
    step = 1
    for packet in _segment_packets(segments, base):
        if held is not None:
            step = packet.pts - held.pts
            if step <= 0:
                raise OutputUnwritable(
                    f"segments overlap at {float(packet.pts * base):.3f} s",
                    remedy="delete the job folder and run the job again",
                )
            yield _timed(held, step, target)
        held = packet
    if held is not None:
        yield _timed(held, (_last_step(given, held.pts) if last is None else last) or step, target)


def _last_step(given: _SourceStreams, pts: int) -> int:
    """Return how long the source shows its last frame, at `pts`, in ticks; 0 if unknown.

    Its packet's duration counts where it agrees with the stream's to a millisecond, to which a header may have rounded
    that: in a file with reordered frames a packet's duration is one of decoding.
    """
    video = given.video
    left = (video.start_time or 0) + video.duration - pts if video.duration else 0
    said = _packet_duration(given, pts)
    rounded = abs(left - said) * video.time_base <= Fraction(1, 1000)
    return said if said > 0 and (left <= 0 or rounded) else max(left, 0)


def _packet_duration(given: _SourceStreams, pts: int) -> int:
    """Return the duration of the source's packet at `pts`, or 0 if the packet has none."""
    with open_video(given.source, given.video.index) as container:
        stream = video_stream(container, given.video.index)
        try:
            container.seek(pts, stream=stream)
            return next((p.duration or 0 for p in container.demux(stream) if p.pts == pts), 0)
        except (av.FFmpegError, OSError):
            return 0


def _segment_packets(segments: list[Path], base: Fraction) -> Iterator[Any]:
    for path in segments:
        try:
            with av.open(str(path.absolute())) as container:
                stream: Any = container.streams.video[0]
                packet: Any
                for packet in container.demux(stream):
                    if packet.pts is not None:
                        packet.pts = packet.dts = int(packet.pts * stream.time_base / base)
                        packet.time_base = base
                        yield packet
        except av.FFmpegError as error:
            raise InputUnreadable(
                f"segment {path.name} is damaged", remedy="remove it and run the job again"
            ) from error


def _timed(packet: Any, duration: int, target: Any) -> Timed:
    packet.duration = duration
    packet.stream = target
    return float(packet.dts * packet.time_base), packet
