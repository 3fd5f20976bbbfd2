"""Animated pictures are clips: every frame comes out at its time, or one line says what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.runs import TINY, frames_of, seconds
from vidinv.cli.main import main

FRAMES = [np.random.default_rng(k).integers(60, 200, (64, 96, 3), np.uint8) for k in range(5)]


def animation(path: Path) -> Path:
    pictures = [Image.fromarray(frame) for frame in FRAMES]
    kind = "PNG" if path.suffix == ".apng" else None
    pictures[0].save(path, format=kind, save_all=True, append_images=pictures[1:], duration=120, loop=0)
    return path


@pytest.mark.parametrize("name", ["moving.png", "moving.apng", "moving.gif"])
def test_every_frame_of_an_animation_comes_out_at_its_time(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    animation(tmp_path / name)
    assert main(["run", name, "--edit", "age+0", "--codec", "lossless", *TINY]) == 0
    output = tmp_path / "moving.edited.mkv"
    assert seconds(output) == pytest.approx([0, 0.12, 0.24, 0.36, 0.48], abs=0.002)
    if name != "moving.gif":  # whose colours are a palette's
        for (_, planes), frame in zip(frames_of(output), FRAMES, strict=True):
            assert np.array_equal(np.stack([planes[2], planes[0], planes[1]], 2), frame)


def test_an_animated_webp_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = animation(tmp_path / "moving.webp")
    assert main(["run", str(clip), "--edit", "age+1", *TINY]) == 3
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "animated WebP" in line and "GIF" in line
