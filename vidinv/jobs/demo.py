"""Write a short synthetic talking head with sound, drawn by the generator: it shows no real person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from vidinv import fileio
from vidinv.editing import directions
from vidinv.frames import Array
from vidinv.generators.base import Generator

SAMPLE_RATE = 44100
FRAME_RATE = 25
SYLLABLES = 3.2  # per second


def motion(seconds: Array) -> tuple[Array, Array]:
    """Strength of yaw and smile over time [T]: a slow turn of the head, and lips that move with the syllables."""
    yaw = 0.9 * np.sin(2 * np.pi * seconds / 3.1)
    smile = 0.5 * np.sin(2 * np.pi * seconds / 4.3) + 0.7 * voice(seconds)
    return yaw, smile


def voice(seconds: Array) -> Array:
    """Loudness in [0,1] over time [T]: syllables, with a pause every 1.7 s."""
    speaking = (np.mod(seconds, 1.7) < 1.35).astype(np.float64)
    return np.asarray(speaking * np.sin(np.pi * SYLLABLES * seconds) ** 2)


def frames(generator: Generator, count: int, size: int, seed: int) -> Iterator[Array]:
    """`count` pictures [size,size,3] uint8 RGB of one synthetic person, one at a time."""
    yaw, smile = (directions.load_direction(name, generator.space) for name in ("yaw", "smile"))
    person = generator.w_avg + 0.7 * (generator.sample(1, seed=seed) - generator.w_avg)
    turn, mouth = motion(np.arange(count) / FRAME_RATE)
    for index in range(count):
        ws = generator.broadcast(person) + yaw.offset(float(turn[index]), generator.num_ws)
        ws = ws + smile.offset(float(mouth[index]), generator.num_ws)
        with torch.inference_mode():
            image = generator.synthesize(ws, size=generator.sizes[0])
            image = torch.nn.functional.interpolate(image, (size, size), mode="bilinear", antialias=True)
        yield ((image[0].clamp(-1, 1) + 1) * 127.5).byte().permute(1, 2, 0).numpy()  # CHW -> HWC


def sound(seconds: float) -> Array:
    """A vowel-like tone [samples] float32 that follows `voice`."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tone = sum(np.sin(2 * np.pi * 130 * k * time) / k for k in (1, 2, 3, 5, 8))
    return np.asarray(0.12 * voice(time) * tone, np.float32)


def write_demo(
    path: Path,
    generator: Generator,
    *,
    seconds: float = 2.0,
    size: int = 384,
    seed: int = 3,
    done: Callable[[int], None],
    overwrite: bool = False,
) -> None:
    """Write the clip as H.264 and AAC in mp4; `done(n)` is called after every n frames. Raises OutputUnwritable."""
    count = round(seconds * FRAME_RATE)
    with (
        fileio.replacing(path, overwrite=overwrite, failures=(av.FFmpegError,)) as draft,
        av.open(str(draft), "w", format="mp4") as container,
    ):
        video = container.add_stream("libx264", rate=FRAME_RATE, options={"crf": "20", "preset": "slow"})
        video.width = video.height = size
        video.pix_fmt, video.codec_context.time_base = "yuv420p", Fraction(1, FRAME_RATE)
        context = video.codec_context
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 1, 1, 1, 1
        audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        for index, picture in enumerate(frames(generator, count, size, seed)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            frame.pts = index
            container.mux(video.encode(frame))
            done(1)
        container.mux(video.encode(None))
        _write_sound(container, audio, sound(seconds))


def _write_sound(container: av.container.OutputContainer, stream: av.AudioStream, samples: Array) -> None:
    for start in range(0, len(samples), 1024):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
