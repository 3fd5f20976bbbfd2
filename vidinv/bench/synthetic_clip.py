"""Write synthetic clips: a moving gradient or any drawn picture, in a chosen container, format and colour space.

Tests, benchmarks and stress scripts take their input from here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from vidinv.process import without_real_time_threads

TAGS = {
    "bt709": (1, 1, 1),
    "bt601": (6, 6, 6),
    "bt2020": (9, 14, 9),
    "smpte240m": (7, 7, 7),
    "ycgco": (1, 1, 8),
    "ictcp": (9, 16, 14),
    "pq": (9, 16, 9),
    "hlg": (9, 18, 9),
    "unspecified": (2, 2, 2),
}  # primaries, trc, matrix
Draw = Callable[[int], NDArray[np.uint8]]


def gradient(index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A moving colour gradient, uint8 [H, W, 3] RGB."""
    width, height = size
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    red = 255 * (0.5 + 0.5 * np.sin((x + 3 * index) / 17))
    green = 255 * (0.5 + 0.5 * np.sin((y + 2 * index) / 13))
    blue = 255 * (0.5 + 0.5 * np.sin((x + y - index) / 23))
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def make_clip(
    path: Path,
    *,
    size: tuple[int, int] = (96, 64),
    frames: int = 24,
    durations_ms: Sequence[int] | None = None,
    rate: int | Fraction = 25,
    pix_fmt: str = "yuv420p",
    codec: str = "libx264",
    rotation: int = 0,
    audio: bool = True,
    colour: str = "bt709",
    full_range: bool = False,
    cut_at: int | None = None,
    image: Draw | None = None,
    chapters: bool = False,
    bframes: int = 2,
    matrix: tuple[int, ...] | None = None,
    aspect: Fraction | None = None,
    start: int = 0,
    sound_start: float = 0.0,
    options: dict[str, str] | None = None,
    alpha: bool = False,
) -> Path:
    """Write a clip of `size` (width, height) to `path` and return it.

    `durations_ms` gives each frame's duration (then `frames` is their number) on a 1/1000 clock; `rotation` is the
    clockwise turn a player must make; after `cut_at` the picture is another one (a hard cut); `image(i)` draws frame i.
    `matrix` is a whole display matrix (9 numbers, the first two rows' in 1/65536), `aspect` that of a pixel, `start`
    the first frame's pts, `sound_start` the sound's in seconds; `options` are further ones of the encoder; with `alpha`
    the picture fades from left to right.
    """
    width, height = size
    base = Fraction(1, 1000) if durations_ms else 1 / (Fraction(rate) * 512)
    steps = list(durations_ms or [512] * frames)
    if path.suffix == ".avi":  # has no times but the number of a frame
        base, steps = 1 / Fraction(rate), [1] * frames
    primaries, transfer, colourspace = TAGS[colour]
    with av.open(str(path), "w") as container:
        container.metadata.update(title="a made clip", artist="vidinv")
        chosen = {"crf": "12", "bf": str(bframes), "preset": "ultrafast"} if codec == "libx264" else {}
        if codec == "libx265":
            chosen = {"x265-params": "log-level=none", "preset": "ultrafast"}
        stream: Any = container.add_stream(codec, rate=rate, options=chosen | (options or {}))
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.time_base = stream.time_base = base
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = primaries, transfer, colourspace
        context.color_range = 2 if full_range else 1
        if rotation:
            stream.set_display_rotation(-rotation)
        if matrix:
            stream.set_display_matrix(matrix)
        if aspect:
            context.sample_aspect_ratio = aspect
        sound: Any = container.add_stream("libopus" if path.suffix == ".webm" else "aac", rate=48000) if audio else None
        if chapters:
            container.set_chapters(
                [{"id": 1, "start": 0, "end": 400, "time_base": Fraction(1, 1000), "metadata": {"title": "one"}}]
            )
        with without_real_time_threads():
            container.start_encoding()
        pts, lasts = start, dict[int, int]()
        for index, step in enumerate(steps):
            frame = _picture(index, size, cut_at, image, pix_fmt, colourspace, full_range, alpha)
            frame.pts, frame.time_base = pts, base
            lasts[pts] = step
            container.mux(_lasting(stream.encode(frame), lasts))
            pts += step
        container.mux(_lasting(stream.encode(None), lasts))
        if sound is not None:
            for block in _tone(float((pts - start) * base), sound_start):
                container.mux(sound.encode(block))
            container.mux(sound.encode(None))
    return path


def _lasting(packets: list[Any], lasts: dict[int, int]) -> list[Any]:
    for packet in packets:
        packet.duration = lasts[packet.pts]
    return packets


def _picture(
    index: int,
    size: tuple[int, int],
    cut_at: int | None,
    image: Draw | None,
    pix_fmt: str,
    matrix: int,
    full_range: bool,
    alpha: bool,
) -> av.VideoFrame:
    rgb = image(index) if image else gradient(index, size)
    if cut_at is not None and index >= cut_at:
        rgb = 255 - rgb[::-1]
    if alpha:
        fade = np.broadcast_to(np.linspace(0, 255, size[0]).astype(np.uint8), (size[1], size[0]))
        rgb = np.dstack([rgb, fade])
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgba" if alpha else "rgb24")
    if pix_fmt.startswith("gbr") or pix_fmt.startswith("rgb"):
        return frame.reformat(format=pix_fmt)
    return frame.reformat(
        format=pix_fmt,
        dst_colorspace=matrix if matrix in (1, 7, 9) else 5,
        dst_color_range=2 if full_range else 1,
    )


def _tone(seconds: float, begin: float = 0.0) -> list[av.AudioFrame]:
    rate, size = 48000, 960
    blocks = []
    for start in range(0, int(seconds * rate), size):
        wave = 0.2 * np.sin(2 * np.pi * 440 * np.arange(start, start + size) / rate)
        block = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], "fltp", "mono")
        block.sample_rate, block.pts, block.time_base = rate, start + round(begin * rate), Fraction(1, rate)
        blocks.append(block)
    return blocks
