"""The demo clip: pictures and sound of one person, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from vidinv.errors import OutputUnwritable
from vidinv.generators import registry
from vidinv.jobs import demo

pytestmark = pytest.mark.weights


def test_the_clip_moves_and_speaks(tmp_path: Path) -> None:
    heard: list[int] = []
    demo.write_demo(
        tmp_path / "a.mp4",
        registry.load_generator("mobile-stylegan-ffhq-1024"),
        seconds=0.2,
        size=128,
        done=heard.append,
    )
    with av.open(str(tmp_path / "a.mp4")) as container:
        pictures = [frame.to_ndarray(format="gray").astype(float) for frame in container.decode(video=0)]
    with av.open(str(tmp_path / "a.mp4")) as container:
        loudness = max(abs(frame.to_ndarray()).max() for frame in container.decode(audio=0))
    assert sum(heard) == len(pictures) == 5
    assert abs(pictures[-1] - pictures[0]).mean() > 0.5
    assert loudness > 0.05
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    generator = registry.load_generator("mobile-stylegan-ffhq-1024")
    with pytest.raises(OutputUnwritable, match=r"a\.mp4"):
        demo.write_demo(tmp_path / "none" / "a.mp4", generator, seconds=0.2, size=128, done=lambda count: None)
