"""Faces are looked for in the picture as a player shows it, and put back where they are coded."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import ffprobe
from tests.helpers.display_matrices import MATRICES, matrix
from vidinv import config as configs
from vidinv.analysis import face_tracks, first_pass
from vidinv.backends.interface import LocatedFaces
from vidinv.bench.synthetic_clip import make_clip
from vidinv.frames import Array, Track
from vidinv.media import reader
from vidinv.media.probe import probe

SPOT = (70, 40)  # x, y of a white spot in the coded picture


def spot(index: int) -> Array:
    picture = np.full((64, 96, 3), 40, np.uint8)
    picture[SPOT[1] - 3 : SPOT[1] + 4, SPOT[0] - 3 : SPOT[0] + 4] = 255
    return picture


def centre(picture: Array) -> Array:
    y, x = np.nonzero(picture[..., 1] > 150)
    return np.array([x.mean(), y.mean()])


def looked_at(source: Path, folder: Path) -> tuple[list[Array], first_pass.Detections, int]:
    """The pictures a detector is given, what it found (the spot), and the turn it is told."""
    info, seen = probe(source), []

    def locate(rgb: Array, rotation: int, boxes: Array | None) -> LocatedFaces:
        seen.append(rgb)
        points = np.repeat(centre(rgb)[None, None], 106, 1).astype(np.float32)
        return LocatedFaces(np.array([[0, 0, 9, 9.0]]), np.ones(1), points, np.ones((1, 1)))

    config = configs.load_run_config("balanced", ["backend=tiny"])
    frames = lambda first: reader.read_frames(source, first=first)  # noqa: E731
    sightings = first_pass.analyse(frames, locate, folder, config, info.rotation, lambda count: None)
    return seen, sightings, info.rotation


def back(sightings: first_pass.Detections) -> Array:
    first = sightings.faces[0]
    assert first is not None
    points = first.landmarks[:1]
    to_frame = np.concatenate([np.eye(2), points[0, :1].T], axis=1)[None]
    track = Track(0, np.array([0]), to_frame, points, np.ones(1))
    return face_tracks._in_coded_pixels(track, sightings.to_coded).to_frame[0, :, 2]


def shown(source: Path, size: tuple[int, int]) -> Array:
    """ffmpeg's own upright picture of the first frame."""
    command = [ffprobe._tool("ffmpeg"), "-v", "error", "-i", f"file:{source}", "-frames:v", "1"]
    raw = subprocess.run([*command, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"], capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(size[1], size[0], 3)


@pytest.mark.parametrize("name", MATRICES)
def test_the_picture_turned_as_told_is_what_ffmpeg_shows(tmp_path: Path, name: str) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=1, image=spot, matrix=matrix(name), audio=False)
    (picture,), sightings, rotation = looked_at(source, tmp_path)
    upright = np.rot90(picture, -rotation // 90)
    assert np.abs(centre(upright) - centre(shown(source, upright.shape[1::-1]))).max() < 0.6
    assert np.abs(back(sightings) - SPOT).max() < 0.6


@pytest.mark.parametrize("aspect", [Fraction(2), Fraction(64, 45), Fraction(3, 4)], ids=str)
@pytest.mark.parametrize("is_mirrored", [False, True])
def test_pixels_are_square_where_faces_are_looked_for(tmp_path: Path, aspect: Fraction, is_mirrored: bool) -> None:
    mirror = matrix("mirrored") if is_mirrored else None
    source = make_clip(tmp_path / "in.mp4", frames=1, image=spot, aspect=aspect, matrix=mirror, audio=False)
    (picture,), sightings, _ = looked_at(source, tmp_path)
    assert picture.shape == (64, round(96 * aspect), 3)
    wide, high = (np.ptp(np.nonzero(picture[..., 1] > 150)[axis]) + 1 for axis in (1, 0))
    assert wide / high == pytest.approx(float(aspect), abs=0.3)
    assert np.abs(back(sightings) - SPOT).max() < 0.8


def test_a_pixel_that_nobody_has_is_taken_as_square(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=1, aspect=Fraction(60000, 1), audio=False)
    assert probe(source).display == replace(probe(source).display, pixel_aspect=Fraction(1))
