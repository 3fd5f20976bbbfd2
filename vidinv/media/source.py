"""Open an input video (a file, or a folder of pictures) with limits on its size, streams and demuxers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, cast

import av
from av.container import InputContainer

from vidinv.errors import InputUnreadable, UsageError, VidinvError
from vidinv.media import sequence
from vidinv.memory import raise_if_out_of_memory

REMEDY = "give a video file such as .mp4, .mov, .mkv or .webm, or a folder of pictures"
MAX_PIXELS = 1 << 27  # per frame (16384 x 8192); a larger declared size is refused before anything is allocated
PLAIN_PIXELS = 36_000_000  # a frame of more (beyond 8K) is refused if its file is too small to be one
MOST_PIXELS_PER_BYTE = 100
MAX_STREAMS = 1000
_COUNTED = 500  # packets of the beginning of a file by which its video streams are compared
_FEW = 10  # a stream with fewer frames than a tenth of another's is a thumbnail or a slide show
FAILURES = 3  # consecutive read errors without a packet between them, after which reading stops

# Demuxers that read a single file and follow no references: no playlists, no file lists, no network.
_DEMUXERS = (
    "mov,matroska,webm,avi,nut,mpegts,mpeg,flv,ogg,asf,mxf,gxf,ivf,h264,hevc,av1,obu,m4v,mjpeg,y4m,yuv4mpegpipe,dv,gif,"
    "apng,png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,dpx_pipe,tiff_pipe"
)
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _DEMUXERS, "max_streams": str(MAX_STREAMS)}
_LIMITS = {"max_pixels": str(MAX_PIXELS)}


def open_video(path: Path, number: int | None = None) -> InputContainer:
    """Open `path` for reading: a video, a picture, or a folder of pictures as one stream (`vidinv.media.sequence`).

    `number` names the video stream that is meant (see `video_stream`). Raises InputUnreadable if the file is missing,
    empty, not media, without video, or declares more than MAX_PIXELS, and UsageError if no video stream has the number.
    """
    container = _open(path)
    try:
        stream = video_stream(container, number)
        if stream is None and number is not None and (films := films_of(container)):
            raise UsageError(
                f"--stream {number} is not a video stream of {path.name}",
                remedy=f"choose one of {', '.join(map(describe_film, films))}",
            )
        if stream is None:
            raise InputUnreadable(f"{path} has no video stream", remedy=REMEDY)
        _check_size(path, stream.codec_context.width, stream.codec_context.height)
        stream.codec_context.options = _LIMITS
    except VidinvError:
        container.close()
        raise
    return container


def _check_size(path: Path, width: int, height: int) -> None:
    """Raise InputUnreadable for frames that are too large, or larger than the size of their file makes plausible."""
    pixels, size = width * height, f"{path} declares frames of {width}x{height} pixels"
    if pixels > MAX_PIXELS:
        raise InputUnreadable(f"{size}, more than {MAX_PIXELS >> 20} Mi pixels", remedy="scale it down first")
    held = path.stat().st_size if path.is_file() else pixels
    if pixels > PLAIN_PIXELS and pixels > held * MOST_PIXELS_PER_BYTE:
        raise InputUnreadable(f"{size} in {held} bytes", remedy="scale it down first")


def _open(path: Path) -> InputContainer:
    try:
        if not path.exists():
            raise InputUnreadable(f"{path} does not exist", remedy="check the path")
        if not path.is_dir() and not path.is_file():
            raise InputUnreadable(f"{path} is not a regular file", remedy=REMEDY)
        if not path.is_dir() and path.stat().st_size == 0:
            raise InputUnreadable(f"{path} is empty (0 bytes)", remedy="copy or download it again")
        if path.is_file() and sequence.is_animated_webp(path):
            raise InputUnreadable(
                f"{path} is an animated WebP, which FFmpeg does not decode",
                remedy="convert it to a GIF or a video first",
            )
        if path.is_file() and sequence.is_animated_png(path):
            return av.open(str(path.absolute()), "r", format="apng", options=_OPTIONS | _LIMITS)
        if path.is_dir() or sequence.is_picture(path):
            reel = sequence.Reel(sequence.list_pictures(path) if path.is_dir() else [path])
            options = _LIMITS | {"framerate": str(sequence.frame_rate(path))}
            return av.open(reel, "r", format=reel.demuxer, options=options, buffer_size=1 << 20)
        # The absolute name starts with a slash, so that no part of it is taken for a protocol or an option.
        return av.open(str(path.absolute()), "r", options=_OPTIONS | _LIMITS, metadata_errors="replace")
    except PermissionError as error:
        raise InputUnreadable(f"{path} cannot be read (permission denied)", remedy="check its permissions") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputUnreadable(f"{path} is not a readable video ({error_reason(error)})", remedy=REMEDY) from error


def read_packets(container: InputContainer, streams: list[Any]) -> Iterator[Any]:
    """Yield the packets of `streams` in file order, and None at each read error, after which reading continues.

    Raises OutOfMemory.
    """
    failures = 0
    while failures < FAILURES:
        try:
            for packet in container.demux(streams):
                failures = 0
                yield packet
            return
        except IndexError:  # PyAV raises it for a packet of a stream that appeared after the file was opened
            continue
        except (av.FFmpegError, OSError) as error:
            raise_if_out_of_memory(error)
            failures += 1
            yield None


def decode_frames(
    container: InputContainer, stream: Any, retime: Callable[[Any], None] | None = None
) -> Iterator[av.VideoFrame | None]:
    """Yield the stream's frames, and None where data could not be read or decoded. Raises OutOfMemory.

    `retime` may change the times of every packet before it is decoded (`vidinv.media.timeline`).
    """
    for packet in read_packets(container, [stream]):
        if retime is not None and packet is not None:
            retime(packet)
        try:
            frames = [None] if packet is None else packet.decode()
        except av.FFmpegError as error:
            raise_if_out_of_memory(error)
            frames = [None]
        yield from frames


def first_frame(container: InputContainer, stream: Any) -> av.VideoFrame | None:
    """Return the stream's first decodable frame, or None."""
    return next((frame for frame in decode_frames(container, stream) if frame is not None), None)


def films_of(container: InputContainer) -> list[Any]:
    """Return the video streams that are not cover pictures."""
    return [s for s in container.streams.video if s.codec_context and not is_cover(s)]


def describe_film(stream: Any) -> str:
    """Return a video stream's number, codec and size, such as "#1 (h264, 640x480)"."""
    context = stream.codec_context
    return f"#{stream.index} ({context.codec.canonical_name}, {context.width}x{context.height})"


def video_stream(container: InputContainer, number: int | None = None) -> Any:
    """Return video stream `number` (counted over all streams of the file, as ffprobe does), or None.

    Without a number: of the streams that are not cover pictures and hold many frames for this file, those marked as
    default, of these the largest, of these the first.
    """
    films = films_of(container)
    if number is not None:
        return next((stream for stream in films if stream.index == number), None)
    if len(films) < 2:
        return films[0] if films else None
    counts = _frame_counts(container, films)
    most = max(counts.values())
    moving = [stream for stream in films if counts[stream.index] * _FEW >= most]

    def rank(stream: Any) -> tuple[bool, int]:
        is_default = bool(stream.disposition & av.stream.Disposition.default)
        return is_default, stream.codec_context.width * stream.codec_context.height

    return max(moving, key=rank)


def _frame_counts(container: InputContainer, films: list[Any]) -> dict[int, int]:
    """Count the frames of each stream by the header, or in the first packets where a header gives none."""
    if all(stream.frames for stream in films):
        return {stream.index: stream.frames for stream in films}
    counts = {stream.index: 0 for stream in films}
    with _open(Path(container.name)) as again:
        packets = read_packets(again, [again.streams[index] for index in counts])
        for packet in islice(packets, _COUNTED):
            if packet is not None and packet.size:
                counts[packet.stream_index] += 1
    return counts


def is_cover(stream: Any) -> bool:
    """Return whether this video stream is a cover picture."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def side_data(frame: av.VideoFrame) -> Mapping[str, Any]:
    """Return the frame's side data by FFmpeg's names; empty if PyAV does not know one of the kinds."""
    try:
        return cast(Mapping[str, Any], frame.side_data)
    except ValueError:  # a kind that PyAV does not list yet, such as EXIF, hides the others
        return {}


def error_reason(error: Exception) -> str:
    """Return the error text of the operating system or FFmpeg without its error number."""
    return str(getattr(error, "strerror", None) or error)
