"""Black and white sources stay black and white: an edit changes their luma only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.helpers import ffprobe
from tests.helpers.runs import edited
from vidinv.bench.synthetic_clip import make_clip

WIDTH, HEIGHT = 96, 64


def neutral_clip(folder: Path, name: str, *coding: object, look: str = "hue=s=0") -> Path:
    clip = make_clip(folder / "colour.mp4", frames=6, audio=False)
    made = folder / name
    ffprobe.ffmpeg("-i", clip, "-vf", look, *coding, made)
    return made


@pytest.mark.parametrize("quality", ["fast", "balanced"])
@pytest.mark.parametrize(
    "name,coding,pix_fmt",
    [
        ("in.mp4", ["-c:v", "libx264", "-crf", 20, "-pix_fmt", "yuv420p"], "yuv420p"),
        ("in.mkv", ["-c:v", "ffv1", "-pix_fmt", "yuv444p"], "yuv444p"),
        ("in.mkv", ["-c:v", "ffv1", "-pix_fmt", "yuv422p10le"], "yuv422p10le"),
    ],
)
def test_the_chroma_of_a_neutral_source_is_untouched(
    tmp_path: Path, name: str, coding: list[object], pix_fmt: str, quality: str
) -> None:
    source = neutral_clip(tmp_path, name, *coding)
    output = edited(source, tmp_path / "out.mkv", "--codec", "lossless", "--quality", quality)
    old, new = (ffprobe.samples(path, pix_fmt) for path in (source, output))
    luma = WIDTH * HEIGHT * (2 if "10" in pix_fmt else 1)
    assert np.array_equal(old[:, luma:], new[:, luma:]) and not np.array_equal(old[:, :luma], new[:, :luma])


def test_rgb_of_equal_channels_keeps_them_equal(tmp_path: Path) -> None:
    source = neutral_clip(tmp_path, "in.mkv", "-c:v", "ffv1", "-pix_fmt", "gbrp", look="format=gray,format=gbrp")
    output = edited(source, tmp_path / "out.mkv", "--codec", "lossless")
    old, new = (ffprobe.samples(path, "gbrp").reshape(-1, 3, HEIGHT * WIDTH) for path in (source, output))
    assert np.array_equal(new[:, 0], new[:, 1]) and np.array_equal(new[:, 0], new[:, 2])
    assert not np.array_equal(old, new)


def test_a_coloured_source_is_edited_in_colour(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=4, audio=False)
    output = edited(source, tmp_path / "out.mkv", "--codec", "lossless")
    old, new = (ffprobe.samples(path, "yuv420p")[:, WIDTH * HEIGHT :] for path in (source, output))
    assert not np.array_equal(old, new)
