"""What a video file is: size, time, colour and codec, learned from its headers and its first frame."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from vidinv.errors import InputUnreadable
from vidinv.frames import Colour
from vidinv.media import formats

_MATRIX = {1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 9: "bt2020", 10: "bt2020"}
REMEDY = "give a video file such as .mp4, .mov, .mkv or .webm"


@dataclass(frozen=True)
class VideoInfo:
    """One video file's first video stream.

    `width`, `height` are coded (before rotation); `rotation` is clockwise degrees needed for upright display;
    `pix_fmt`, `sub_x`, `sub_y`, `depth` describe the planes that the reader yields; `frame_count` 0 = unknown;
    `bit_rate` in bits per second, 0 = unknown; `time_base` in seconds per tick; `rate` frames per second on average.
    """

    path: Path
    width: int
    height: int
    rotation: int
    pix_fmt: str
    colour: Colour
    time_base: Fraction
    rate: Fraction
    duration_s: float
    codec: str
    frame_count: int
    bit_rate: int
    audio_streams: int
    sub_x: int
    sub_y: int
    depth: int


def open_video(path: Path) -> InputContainer:
    """Open `path` for reading; raises InputUnreadable when it is missing, empty, not media or without video."""
    if not path.exists():
        raise InputUnreadable(f"{path} does not exist", remedy="check the path")
    if path.is_dir():
        raise InputUnreadable(f"{path} is a folder", remedy=REMEDY)
    try:
        if path.stat().st_size == 0:
            raise InputUnreadable(f"{path} is empty (0 bytes)", remedy="copy or download it again")
        container = av.open(str(path), metadata_errors="replace")
    except PermissionError as error:
        raise InputUnreadable(f"{path} cannot be read (permission denied)", remedy="check its permissions") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputUnreadable(f"{path} is not a readable video ({_reason(error)})", remedy=REMEDY) from error
    if video_stream(container) is None:
        container.close()
        raise InputUnreadable(f"{path} has no video stream", remedy=REMEDY)
    return container


def video_stream(container: InputContainer) -> Any:
    """The first stream of moving pictures (a cover picture is not one), or None."""
    cover = av.stream.Disposition.attached_pic
    return next((s for s in container.streams.video if s.codec_context and not s.disposition & cover), None)


def display_matrix(frame: av.VideoFrame) -> tuple[int, ...] | None:
    """The frame's display matrix as FFmpeg's nine 32-bit integers, or None."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    return None if data is None else struct.unpack("=9i", bytes(data)[:36])


def probe(path: Path | str) -> VideoInfo:
    """Describe the first video stream of `path`; decodes one frame. Raises InputUnreadable."""
    path = Path(path)
    with open_video(path) as container:
        stream = video_stream(container)
        try:
            frame = next(container.decode(stream), None)
        except (av.FFmpegError, OSError) as error:
            raise InputUnreadable(f"{path}: no frame decodes ({_reason(error)})", remedy=REMEDY) from error
        if frame is None:
            raise InputUnreadable(f"{path}: its video stream holds no frame", remedy=REMEDY)
        pix_fmt = formats.planar(frame.format.name)
        shape = formats.layout(pix_fmt)
        time_base = stream.time_base or Fraction(1, 1000)
        duration = _duration(container, stream, time_base)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        return VideoInfo(
            path=path,
            width=frame.width,
            height=frame.height,
            rotation=round(-frame.rotation / 90) * 90 % 360,
            pix_fmt=pix_fmt,
            colour=colour_of(frame, stream.codec_context),
            time_base=time_base,
            rate=rate,
            duration_s=duration,
            codec=stream.codec_context.codec.canonical_name,
            frame_count=int(stream.frames) or round(duration * rate),
            bit_rate=int(stream.bit_rate or container.bit_rate or 0),
            audio_streams=len(container.streams.audio),
            sub_x=shape.sub_x,
            sub_y=shape.sub_y,
            depth=shape.depth,
        )


def colour_of(frame: av.VideoFrame, context: Any) -> Colour:
    """Colour of a decoded frame; an unspecified matrix means BT.709 from 720 lines (shorter side) up, else BT.601."""
    matrix_tag = _tag(frame.colorspace, context.colorspace)
    range_tag = _tag(frame.color_range, context.color_range, unset=0)
    guess = "bt709" if min(frame.width, frame.height) >= 720 else "bt601"
    return Colour(
        matrix=_MATRIX.get(matrix_tag, guess),
        full_range=range_tag == 2 or frame.format.name.startswith("yuvj") or frame.format.is_rgb,
        primaries_tag=_tag(frame.color_primaries, context.color_primaries),
        transfer_tag=_tag(frame.color_trc, context.color_trc),
        matrix_tag=matrix_tag,
        range_tag=range_tag,
    )


def _tag(frame: int, context: int, unset: int = 2) -> int:
    return int(frame) if frame != unset else int(context)


def _duration(container: InputContainer, stream: Any, time_base: Fraction) -> float:
    if stream.duration:
        return float(stream.duration * time_base)
    return float(container.duration / av.time_base) if container.duration else 0.0


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
