"""HDR's own words: what a frame's side data hold, and how each encoder is told."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import pytest

from vidinv.media.mastering import Mastering, encoder_parameters, mastering_of

SCREEN = Mastering(
    primaries=(0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.329), luminance=(0.005, 1000.0), light=(1000, 400)
)


def test_side_data_are_read_as_ffmpeg_lays_them_out() -> None:
    fractions = [value for number in (*SCREEN.primaries, *SCREEN.luminance) for value in (round(number * 50000), 50000)]
    data = {
        "MASTERING_DISPLAY_METADATA": struct.pack("=22i", *fractions, 1, 1),
        "CONTENT_LIGHT_LEVEL": struct.pack("=2I", 1000, 400),
        "DYNAMIC_HDR_PLUS": b"x",
        "DOVI_METADATA": b"x",
        "DOVI_RPU_BUFFER": b"x",
    }
    found = mastering_of(SimpleNamespace(side_data=data))  # type: ignore[arg-type]
    assert found.primaries == pytest.approx(SCREEN.primaries, abs=1e-4) and found.light == SCREEN.light
    assert found.luminance == pytest.approx(SCREEN.luminance) and found.dynamic == ("Dolby Vision", "HDR10+")


def test_a_frame_without_says_nothing() -> None:
    assert mastering_of(SimpleNamespace(side_data={})) == Mastering()  # type: ignore[arg-type]


def test_each_encoder_is_told_in_its_own_units() -> None:
    display, light = encoder_parameters("libx265", SCREEN)
    assert display == "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    assert light == "max-cll=1000,400"
    assert encoder_parameters("libsvtav1", SCREEN)[0].endswith("WP(0.31270,0.32900)L(1000.0000,0.0050)")
    assert encoder_parameters("ffv1", SCREEN) == []
