"""Write the encoded segments as a folder of upright PNG pictures with `frames.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from vidinv import fileio
from vidinv.errors import InputUnreadable
from vidinv.frames import Array, Colour, Display
from vidinv.media import formats, sequence, side_data
from vidinv.media.other_streams import name_of
from vidinv.media.probe import VideoInfo, probe
from vidinv.media.source import open_video
from vidinv.media.writer import SWSCALE

_NAMES = {"gray": ("gray", "gray16be"), "rgb": ("rgb24", "rgb48be"), "rgba": ("rgba", "rgba64be")}  # 8 bits, 16


def assemble(
    segments: list[Path], source: Path, output: Path, *, metadata: dict[str, str], stream: int | None = None
) -> list[str]:
    """Write the folder `output`: one PNG (8 or 16 bits) per frame of `segments`, and `frames.json`.

    RGB and gray of 8 and 16 bits are kept bit for bit; YUV is converted, other depths are scaled. The returned
    warnings name what pictures cannot hold. Raises OutputUnwritable; a failure leaves nothing behind.
    """
    info = probe(source, stream)
    with fileio.creating_folder(output) as draft:
        seconds = []
        for number, (time, frame) in enumerate(_frames(segments), start=1):
            (draft / f"{number:06d}.png").write_bytes(_png(frame, info.colour, info.display))
            seconds.append(time)
        facts = {"rate": str(info.rate), "seconds": seconds, "made": metadata}
        (draft / sequence.TIMES).write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return _lost(info)


def _frames(segments: list[Path]) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield the time in seconds and the frame of every picture in the segments."""
    for path in segments:
        try:
            with av.open(str(path.absolute())) as container:
                for frame in container.decode(video=0):
                    yield float(frame.time or 0), frame
        except av.FFmpegError as error:
            raise InputUnreadable(
                f"segment {path.name} is damaged", remedy="remove it and run the job again"
            ) from error


def _png(frame: av.VideoFrame, colour: Colour, display: Display) -> bytes:
    shape = formats.layout(formats.planar(frame.format.name))
    kind = "gray" if shape.count == 1 else "rgba" if shape.has_alpha else "rgb"
    name = _NAMES[kind][shape.depth > 8]
    if not shape.is_rgb:
        matrix, reach = SWSCALE[colour.matrix], 2 if colour.full_range else 1
        frame = frame.reformat(format=name, src_colorspace=matrix, src_color_range=reach, dst_color_range=2)
    else:
        frame = frame.reformat(format=name)
    if display.is_mirrored or display.rotation:
        samples: Array = frame.to_ndarray()
        samples = samples[:, ::-1] if display.is_mirrored else samples
        samples = np.ascontiguousarray(np.rot90(samples, -display.rotation // 90))
        frame = av.VideoFrame.from_ndarray(samples, name)
    coder: Any = av.CodecContext.create("png", "w")
    coder.width, coder.height, coder.pix_fmt, coder.time_base = frame.width, frame.height, name, 1
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*coder.encode(frame), *coder.encode(None)])


def _lost(info: VideoInfo) -> list[str]:
    found = []
    pix_fmt, display = info.pix_fmt, info.display
    if not formats.layout(pix_fmt).is_rgb and formats.layout(pix_fmt).count > 1:
        found.append(f"pictures are RGB: the samples were converted from {pix_fmt}")
    if display.pixel_aspect != 1:
        found.append(f"pictures have square pixels: the source's pixel aspect ratio is {display.pixel_aspect}")
    found += [f"pictures do not keep the source's {name}" for name in side_data.names_in(info.path, info.stream)]
    with open_video(info.path) as container:
        streams = [stream for stream in container.streams if stream.index != info.stream]
        return found + [f"a folder of pictures cannot hold {name_of(stream)}; left out" for stream in streams]
