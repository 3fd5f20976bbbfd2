"""A first pass that was stopped goes on to what it would have seen, and holds no faces in memory."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from vidinv import config as configs
from vidinv import fileio
from vidinv.analysis import detection_cache, first_pass
from vidinv.analysis.first_pass import Detections
from vidinv.backends.interface import LocatedFaces
from vidinv.frames import Array, Colour, FrameBatch, Planes

COUNT = 60


def frames(first: int) -> Iterator[FrameBatch]:
    """Frames of 16x16, from the 20th on of another shot; the 33rd shows nobody."""
    for index in range(COUNT):
        if index >= first:
            luma = np.full((16, 16), 40 if index < 20 else 200, np.uint8)
            luma[0, 0] = index
            chroma = np.full((8, 8), 128, np.uint8)
            planes = Planes((luma, chroma, chroma), "yuv420p", 1, 1, 8)
            yield FrameBatch((planes,), Colour("bt709", True), (index * 3,), Fraction(1, 75), (index,))


class Locator:
    """Finds one face whose place tells how it was found: anew, or how often it was followed since."""

    def __init__(self, stop_after: int = COUNT) -> None:
        self.left = stop_after
        self.calls = 0

    def __call__(self, rgb: Array, rotation: int, known: Array | None) -> LocatedFaces:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        self.calls += 1
        number = int(rgb[0, 0].min())
        place = 0.0 if known is None else float(known[0, 0]) + 1 if len(known) else -1.0
        if place < 0 or abs(number - 33) < 2:
            return LocatedFaces(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 106, 2)), np.zeros((0, 4)))
        return LocatedFaces(np.full((1, 4), place), np.ones(1), np.full((1, 106, 2), place), np.full((1, 4), 0.5))


def looked(folder: Path, locate: Locator) -> Detections:
    config = configs.load_run_config("fast", ["detect_every=5"])
    return first_pass.analyse(frames, locate, folder, config, 0, lambda done: None)


def summary(seen: Detections) -> list[object]:
    faces = [None if found is None else found.landmarks[:, 0, 0].tolist() for found in seen.faces]
    return [seen.pts, seen.time_base, seen.shots, faces]


@pytest.mark.parametrize("stop_after", [1, 8, 20, 27, 33, 34, 35, 36, 41, 59])
def test_a_pass_that_was_stopped_sees_what_an_undisturbed_one_sees(
    tmp_path: Path, stop_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detection_cache, "FRAMES", 7)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    whole.mkdir()
    stopped.mkdir()
    expected = summary(looked(whole, Locator()))
    with pytest.raises(KeyboardInterrupt):
        looked(stopped, Locator(stop_after))
    rest = Locator()
    assert summary(looked(stopped, rest)) == expected
    assert rest.calls <= COUNT - stop_after + 7


def test_a_damaged_shard_and_what_follows_it_are_seen_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection_cache, "FRAMES", 7)
    expected = summary(looked(tmp_path, Locator()))
    written = sorted(tmp_path.glob("analysis-*"))
    data = bytearray(written[2].read_bytes())
    data[len(data) // 2] ^= 1
    written[2].write_bytes(data)
    again = Locator()
    assert summary(looked(tmp_path, again)) == expected
    assert again.calls == COUNT - 14


def test_one_shard_is_in_memory_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection_cache, "FRAMES", 7)
    faces = looked(tmp_path, Locator()).faces
    read: list[int] = []
    plain = detection_cache.load_shard
    monkeypatch.setattr(detection_cache, "load_shard", lambda folder, first: read.append(first) or plain(folder, first))
    assert len(list(faces)) == COUNT and read == [0, 7, 14, 20, 27, 34, 41, 48, 55]


def whole_shard() -> dict[str, np.ndarray]:
    return {
        "pts": np.arange(4),
        "changes": np.zeros((4, 3), np.float32),
        "time_base": np.array([1, 75]),
        "frame": np.array([1, 1, 3]),
        "searched": np.ones(4, bool),
        "to_coded": np.eye(2, 3),
        "boxes": np.zeros((3, 4)),
        "scores": np.zeros(3),
        "landmarks": np.zeros((3, 106, 2)),
        "embeddings": np.zeros((3, 4)),
    }


def store_shard(folder: Path, shard: dict[str, np.ndarray]) -> None:
    data = BytesIO()
    np.savez(data, **shard)
    fileio.write_sealed(folder / "analysis-0000000.sealed", data.getvalue())


CHANGES: dict[str, dict[str, np.ndarray | None]] = {
    "no times": {"pts": None},
    "empty": {"pts": np.zeros(0, int)},
    "objects": {"pts": np.array([None] * 4)},
    "text": {"pts": np.array(["a"] * 4)},
    "not searched": {"searched": np.ones(3, bool)},
    "time base": {"time_base": np.array([1, 0])},
    "one number": {"time_base": np.array(1)},
    "changes": {"changes": np.zeros(4, np.float32)},
    "frame outside": {"frame": np.array([1, 1, 9])},
    "frames in disorder": {"frame": np.array([3, 1, 1])},
    "fewer boxes": {"boxes": np.zeros((2, 4))},
    "no embeddings": {"embeddings": None},
    "to coded": {"to_coded": np.eye(3)},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_shard_of_another_form_reads_as_missing(tmp_path: Path, change: dict[str, np.ndarray | None]) -> None:
    store_shard(tmp_path, whole_shard())
    assert detection_cache.load_shard(tmp_path, 0) is not None
    store_shard(tmp_path, {name: each for name, each in (whole_shard() | change).items() if each is not None})
    assert detection_cache.load_shard(tmp_path, 0) is None
    fileio.write_sealed(tmp_path / "analysis-0000000.sealed", b"no arrays")
    assert detection_cache.load_shard(tmp_path, 0) is None
