"""PQ and HLG: the standards' own points, an inverse, untouched samples bit for bit."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np
import pytest

from tests.helpers.planes import noise_planes
from vidinv.frames import Array, Colour
from vidinv.media import tone
from vidinv.media.colour import to_rgb
from vidinv.media.compose import add_delta

PQ = Colour("bt2020", False, primaries_tag=9, transfer_tag=16, matrix_tag=9, range_tag=1)
HLG = Colour("bt2020", False, primaries_tag=9, transfer_tag=18, matrix_tag=9, range_tag=1)
BOTH = pytest.mark.parametrize("colour", [PQ, HLG], ids=["pq", "hlg"])


def every_code() -> Array:
    """Gray, and saturated colours, at each of the 1024 codes: [K,3]."""
    codes = np.arange(1024) / 1023
    colours = [(1.0, 1.0, 1.0), *(colorsys.hsv_to_rgb(hue / 12, 1, 1) for hue in range(12)), (1.0, 0.7, 0.6)]
    return (codes[:, None, None] * np.array(colours)).reshape(-1, 3)


@pytest.mark.parametrize("signal,nits", [(0.508078, 100), (0.580689, 203), (0.751827, 1000), (1.0, 10000)])
def test_pq_has_the_luminances_of_bt_2100(signal: float, nits: float) -> None:
    light = nits / 203
    expected = light if light <= tone.KNEE else None
    got = tone.to_working(np.full((1, 3), signal), PQ)[0]
    assert np.ptp(got) < 1e-5
    linear = float(tone._from_shoulder(tone._from_srgb(got.astype(np.float64)), tone._peak(16))[0])
    assert linear == pytest.approx(light, rel=2e-4)
    if expected is not None:
        assert got[0] == pytest.approx(1.055 * light ** (1 / 2.4) - 0.055, abs=1e-4)


@BOTH
def test_the_darker_half_is_what_an_sdr_picture_has(colour: Colour) -> None:
    gray = tone.to_working(np.repeat(np.linspace(0, 0.45, 50)[:, None], 3, 1), colour)
    assert (np.diff(gray[:, 0]) > 0).all() and gray.min() >= 0 and gray.max() < 0.75
    assert tone.to_working(np.ones((1, 3)), colour) == pytest.approx(1, abs=1e-4)


@BOTH
def test_every_code_of_ten_bits_comes_back_within_one(colour: Colour) -> None:
    signal = every_code()
    back = tone.to_signal(tone.to_working(signal, colour), colour)
    assert np.abs(back - signal).max() * 1023 < 0.01


@BOTH
def test_an_edit_that_changes_nothing_changes_no_sample(colour: Colour) -> None:
    planes = noise_planes("yuv420p10le")
    assert add_delta(planes, colour, (4, 4, 20, 20), np.zeros((16, 16, 3), np.float32)) is planes


@BOTH
@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv444p12le", "gbrp10le"])
def test_outside_of_what_is_edited_every_sample_stays(colour: Colour, pix_fmt: str) -> None:
    planes, delta = noise_planes(pix_fmt), np.zeros((16, 16, 3), np.float32)
    delta[4:12, 4:12] = 0.1
    out = add_delta(planes, colour, (4, 4, 20, 20), delta)
    for number, (old, new) in enumerate(zip(planes.planes, out.planes, strict=True)):
        sx, sy = (planes.sub_x, planes.sub_y) if number else (0, 0)
        kept = np.ones(old.shape, bool)
        kept[8 >> sy : 16 >> sy, 8 >> sx : 16 >> sx] = False
        assert np.array_equal(old[kept], new[kept]) and (old[~kept] != new[~kept]).any()


@BOTH
def test_what_was_changed_there_and_back_is_within_one_code(colour: Colour) -> None:
    planes = noise_planes("yuv444p10le", seed=3)
    picture = to_rgb(planes, colour)
    change = np.clip(picture + 0.05, 0, 1) - picture
    there = add_delta(planes, colour, (0, 0, 38, 30), change.astype(np.float32))
    soft = (picture < 0.9).all(2) & (picture > 0.05).all(2)
    back = add_delta(there, colour, (0, 0, 38, 30), (picture - to_rgb(there, colour)).astype(np.float32))
    for old, new in zip(planes.planes, back.planes, strict=True):
        assert np.abs(old.astype(int) - new)[soft].max() <= 1


@BOTH
def test_a_change_shows_as_itself_in_the_picture_that_was_worked_on(colour: Colour) -> None:
    planes = noise_planes("yuv444p16le")
    gray = [np.full_like(plane, level) for plane, level in zip(planes.planes, (0x7000, 0x8000, 0x8000), strict=True)]
    planes = replace(planes, planes=tuple(gray))
    delta = np.random.default_rng(1).uniform(-0.05, 0.05, (30, 38, 3)).astype(np.float32)
    after = to_rgb(add_delta(planes, colour, (0, 0, 38, 30), delta), colour)
    assert np.abs(after - to_rgb(planes, colour) - delta).max() < 2e-3
