"""Open an input video (a file, or a folder of pictures) with limits on its size, streams and demuxers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import av
from av.container import InputContainer

from vidinv.errors import InputUnreadable
from vidinv.media import sequence
from vidinv.memory import raise_if_out_of_memory

REMEDY = "give a video file such as .mp4, .mov, .mkv or .webm, or a folder of pictures"
MAX_PIXELS = 1 << 27  # per frame (16384 x 8192); a larger declared size is refused before anything is allocated
MAX_STREAMS = 1000
FAILURES = 3  # consecutive read errors without a packet between them, after which reading stops

# Demuxers that read a single file and follow no references: no playlists, no file lists, no network.
_DEMUXERS = (
    "mov,matroska,webm,avi,nut,mpegts,mpeg,flv,ogg,asf,mxf,gxf,ivf,h264,hevc,av1,obu,m4v,mjpeg,y4m,yuv4mpegpipe,dv,gif,"
    "png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,dpx_pipe,tiff_pipe"
)
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _DEMUXERS, "max_streams": str(MAX_STREAMS)}
_LIMITS = {"max_pixels": str(MAX_PIXELS)}


def open_video(path: Path) -> InputContainer:
    """Open `path` for reading: a video, a picture, or a folder of pictures as one stream (`vidinv.media.sequence`).

    Raises InputUnreadable if it is missing, empty, not media, without video, or declares more than MAX_PIXELS.
    """
    container = _open(path)
    stream = video_stream(container)
    try:
        if stream is None:
            raise InputUnreadable(f"{path} has no video stream", remedy=REMEDY)
        size = (stream.codec_context.width, stream.codec_context.height)
        if size[0] * size[1] > MAX_PIXELS:
            raise InputUnreadable(
                f"{path} declares frames of {size[0]}x{size[1]} pixels, more than {MAX_PIXELS >> 20} Mi pixels",
                remedy="scale it down first",
            )
        stream.codec_context.options = _LIMITS
    except InputUnreadable:
        container.close()
        raise
    return container


def _open(path: Path) -> InputContainer:
    try:
        if not path.exists():
            raise InputUnreadable(f"{path} does not exist", remedy="check the path")
        if not path.is_dir() and not path.is_file():
            raise InputUnreadable(f"{path} is not a regular file", remedy=REMEDY)
        if not path.is_dir() and path.stat().st_size == 0:
            raise InputUnreadable(f"{path} is empty (0 bytes)", remedy="copy or download it again")
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


def decode_frames(container: InputContainer, stream: Any) -> Iterator[av.VideoFrame | None]:
    """Yield the stream's frames, and None where data could not be read or decoded. Raises OutOfMemory."""
    for packet in read_packets(container, [stream]):
        try:
            frames = [None] if packet is None else packet.decode()
        except av.FFmpegError as error:
            raise_if_out_of_memory(error)
            frames = [None]
        yield from frames


def first_frame(container: InputContainer, stream: Any) -> av.VideoFrame | None:
    """Return the stream's first decodable frame, or None."""
    return next((frame for frame in decode_frames(container, stream) if frame is not None), None)


def video_stream(container: InputContainer) -> Any:
    """Return the first video stream that is not a cover picture, or None."""
    cover = av.stream.Disposition.attached_pic
    return next((s for s in container.streams.video if s.codec_context and not s.disposition & cover), None)


def side_data(frame: av.VideoFrame) -> Mapping[str, Any]:
    """Return the frame's side data by FFmpeg's names; empty if PyAV does not know one of the kinds."""
    try:
        return cast(Mapping[str, Any], frame.side_data)
    except ValueError:  # a kind that PyAV does not list yet, such as EXIF, hides the others
        return {}


def error_reason(error: Exception) -> str:
    """Return the error text of the operating system or FFmpeg without its error number."""
    return str(getattr(error, "strerror", None) or error)
