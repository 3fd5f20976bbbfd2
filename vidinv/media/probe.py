"""Read a video's size, timing, colour and codec from its headers and its first frame."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from vidinv.errors import InputUnreadable
from vidinv.frames import Colour, Display
from vidinv.media import formats, sequence
from vidinv.media.mastering import Mastering, mastering_of
from vidinv.media.source import REMEDY, describe_film, films_of, first_frame, open_video, side_data, video_stream

_MATRIX = {1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}
_OTHERS = {
    8: "YCgCo",
    10: "BT.2020 constant luminance",
    11: "YDzDx",
    12: "chromaticity-derived",
    13: "chromaticity-derived",
    14: "ICtCp",
}
_BOTTOM_FIRST = (3, 4)  # FFmpeg's field orders BB and TB: the bottom field is shown first

_ASPECT_LIMIT = 4


@dataclass(frozen=True)
class VideoInfo:
    """Properties of one video stream of a file: its number `stream`, as ffprobe counts, beside the `other_films`.

    `width`, `height` are coded (before rotation) and displayed according to `display`; `fields` is "" for progressive
    frames, "tff" or "bff" for interlaced fields with the top or bottom field first; `mastering` is the HDR metadata;
    `pix_fmt`, `sub_x`, `sub_y`, `depth` describe the planes that the reader yields; `frame_count` 0 = unknown;
    `bit_rate` in bits per second, 0 = unknown; `time_base` in seconds per tick; `rate` frames per second on average.
    """

    path: Path
    width: int
    height: int
    display: Display
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
    fields: str = ""
    mastering: Mastering = field(default_factory=Mastering)
    stream: int = 0
    other_films: tuple[str, ...] = ()  # "#0 (mjpeg, 100x100)"
    hides_alpha: bool = False  # in a second layer that is not decoded (VP8 and VP9 in WebM)

    @property
    def has_alpha(self) -> bool:
        """Return whether the last plane is alpha."""
        return formats.layout(self.pix_fmt).has_alpha

    @property
    def rotation(self) -> int:
        """Return the clockwise rotation in degrees that turns the picture upright, after any mirroring in `display`."""
        return self.display.rotation


def display_matrix(frame: av.VideoFrame) -> tuple[int, ...] | None:
    """Return the frame's display matrix as FFmpeg's nine 32-bit integers, or None."""
    data = side_data(frame).get("DISPLAYMATRIX")
    if data is not None:
        return struct.unpack("=9i", bytes(data)[:36])
    if not frame.rotation:
        return None
    turn = math.radians(-frame.rotation)  # clockwise; also available if the side data cannot be read
    cos, sin = (round(65536 * value) for value in (math.cos(turn), math.sin(turn)))
    return (cos, sin, 0, -sin, cos, 0, 0, 0, 1 << 30)


def display_of(frame: av.VideoFrame, stream: Any) -> Display:
    """Return how `frame` is displayed, from its display matrix and the stream's (or decoder's) pixel aspect."""
    aspect = Fraction(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1)
    if not 1 / _ASPECT_LIMIT <= aspect <= _ASPECT_LIMIT:  # implausible: the header is wrong
        aspect = Fraction(1)
    matrix = display_matrix(frame)
    if matrix is None:
        return Display(pixel_aspect=aspect)
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]  # shown (x, y) = (a x + c y, b x + d y)
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b  # the rotation after the mirroring
    turn = round(math.degrees(math.atan2(b, a)) / 90) * 90 % 360
    return Display(pixel_aspect=aspect, is_mirrored=mirrored, rotation=turn)


def _fields(frame: av.VideoFrame, context: Any) -> str:
    if not frame.interlaced_frame:
        return ""
    return "bff" if context.field_order in _BOTTOM_FIRST else "tff"


def _pictures(path: Path) -> int:
    return len(sequence.list_pictures(path)) if path.is_dir() else 0


def probe(path: Path | str, number: int | None = None) -> VideoInfo:
    """Describe video stream `number` of `path` (None: the one that `video_stream` chooses); decodes one frame.

    Raises InputUnreadable, and UsageError if no video stream has that number.
    """
    path = Path(path)
    with open_video(path, number) as container:
        stream = video_stream(container, number)
        frame = first_frame(container, stream)
        if frame is None:
            raise InputUnreadable(f"{path}: no frame of its video stream decodes", remedy=REMEDY)
        colour = colour_of(frame, stream.codec_context)
        if colour.matrix_tag in _OTHERS and not frame.format.is_rgb:
            raise InputUnreadable(
                f"{path} has {_OTHERS[colour.matrix_tag]} samples, which cannot be converted to RGB",
                remedy="convert it to BT.709 first",
            )
        pix_fmt = formats.planar(frame.format.name)
        shape = formats.layout(pix_fmt)
        time_base = stream.time_base or Fraction(1, 1000)
        duration = _duration(container, stream, time_base)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        return VideoInfo(
            path=path,
            width=frame.width,
            height=frame.height,
            display=display_of(frame, stream),
            pix_fmt=pix_fmt,
            colour=colour,
            time_base=time_base,
            rate=rate,
            duration_s=duration,
            codec=stream.codec_context.codec.canonical_name,
            frame_count=int(stream.frames) or round(duration * rate) or _pictures(path),
            bit_rate=int(stream.bit_rate or container.bit_rate or 0),
            audio_streams=len(container.streams.audio),
            sub_x=shape.sub_x,
            sub_y=shape.sub_y,
            depth=shape.depth,
            fields=_fields(frame, stream.codec_context),
            mastering=mastering_of(frame),
            stream=stream.index,
            other_films=tuple(describe_film(s) for s in films_of(container) if s.index != stream.index),
            hides_alpha=not shape.has_alpha and stream.metadata.get("alpha_mode", "0") != "0",
        )


def colour_of(frame: av.VideoFrame, context: Any) -> Colour:
    """Return a decoded frame's colour; an unspecified matrix is BT.709 from 720 lines (shorter side), else BT.601."""
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
