"""The numbers: plane to RGB and RGB difference to plane, each against an independent reference."""

from __future__ import annotations

import av
import numpy as np
import pytest

from tests.helpers.planes import noise_planes
from vidinv.frames import Colour, Planes
from vidinv.media.colour import align_rect, rgb_matrix, to_rgb
from vidinv.media.compose import add_delta
from vidinv.media.readers.pyav import planes_of

FORMATS = ["yuv420p", "yuv422p", "yuv444p", "gray", "gbrp", "yuv420p10le", "yuv422p12le", "yuv444p16le", "gbrp10le"]


def reference(planes: Planes, colour: Colour, rect: tuple[int, int, int, int], delta: np.ndarray) -> list[np.ndarray]:
    """add_delta in plain float64 numpy, cell by cell."""
    x0, y0, x1, y1 = rect
    inverse = np.linalg.inv(rgb_matrix(colour))
    if planes.pix_fmt.startswith("gbr"):
        parts = [delta[..., channel].astype(np.float64) for channel in (1, 2, 0)]
        spans = [2**planes.depth - 1] * 3
    else:
        ycc = delta.astype(np.float64) @ inverse.T
        parts = [ycc[..., channel] for channel in range(len(planes.planes))]
        one = 2 ** (planes.depth - 8)
        spans = [2**planes.depth - 1] * 3 if colour.full_range else [219 * one, 224 * one, 224 * one]
    result = []
    for number, (plane, part, span) in enumerate(zip(planes.planes, parts, spans, strict=False)):
        sx, sy = (1 << planes.sub_x, 1 << planes.sub_y) if number else (1, 1)
        exact = plane.astype(np.float64)
        for y in range(y0, y1, sy):
            for x in range(x0, x1, sx):
                exact[y // sy, x // sx] += span * part[y - y0 : y - y0 + sy, x - x0 : x - x0 + sx].mean()
        one = 2 ** (planes.depth - 8)
        whole = colour.full_range or planes.pix_fmt.startswith("gbr")
        low, high = (0, 2**planes.depth - 1) if whole else (16 * one, (240 if number else 235) * one)
        clipped = np.clip(exact, np.minimum(low, plane), np.maximum(high, plane))
        result.append(clipped)
    return result


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize("full_range", [False, True])
def test_add_delta_equals_the_float64_reference(pix_fmt: str, full_range: bool) -> None:
    planes, colour = noise_planes(pix_fmt), Colour("bt709", full_range)
    rect = align_rect((5, 3, 29, 22), planes)
    delta = np.random.default_rng(1).normal(0, 0.3, (rect[3] - rect[1], rect[2] - rect[0], 3)).astype(np.float32)
    out = add_delta(planes, colour, rect, delta)
    for got, expected in zip(out.planes, reference(planes, colour, rect, delta), strict=True):
        assert np.abs(got - expected).max() <= 0.5 + 1e-3
        assert got.dtype == planes.planes[0].dtype


@pytest.mark.parametrize("pix_fmt", FORMATS)
def test_add_delta_touches_nothing_outside_the_rect(pix_fmt: str) -> None:
    planes = noise_planes(pix_fmt)
    rect = align_rect((9, 7, 20, 18), planes)
    delta = np.full((rect[3] - rect[1], rect[2] - rect[0], 3), 0.2, np.float32)
    out = add_delta(planes, Colour("bt601", False), rect, delta)
    for number, (old, new) in enumerate(zip(planes.planes, out.planes, strict=True)):
        sx, sy = (planes.sub_x, planes.sub_y) if number else (0, 0)
        outside = np.ones(old.shape, bool)
        outside[rect[1] >> sy : rect[3] >> sy, rect[0] >> sx : rect[2] >> sx] = False
        assert np.array_equal(old[outside], new[outside])


def test_zero_delta_keeps_even_illegal_samples() -> None:
    planes = Planes(tuple(np.full((8, 8), value, np.uint8) for value in (3, 250, 255)), "yuv444p", 0, 0, 8)
    out = add_delta(planes, Colour("bt709", False), (0, 0, 8, 8), np.zeros((8, 8, 3), np.float32))
    assert out is planes


def test_gray_delta_shares_the_chroma_planes() -> None:
    planes = noise_planes("yuv420p")
    out = add_delta(planes, Colour("bt709", False), (0, 0, 8, 8), np.full((8, 8, 3), 0.1, np.float32))
    assert out.planes[0] is not planes.planes[0] and out.planes[1] is planes.planes[1]


def test_odd_sized_frames_compose_to_their_edge() -> None:
    planes, colour = noise_planes("yuv420p", (37, 29)), Colour("bt709", False)
    rect = align_rect((21, 11, 99, 99), planes)
    assert rect == (20, 10, 37, 29)
    delta = np.random.default_rng(2).normal(0, 0.2, (19, 17, 3)).astype(np.float32)
    out = add_delta(planes, colour, rect, delta)
    for got, expected in zip(out.planes, reference(planes, colour, rect, delta), strict=True):
        assert np.abs(got - expected).max() <= 0.5 + 1e-3


def test_unaligned_rect_is_refused() -> None:
    with pytest.raises(ValueError, match="not aligned"):
        add_delta(noise_planes("yuv420p"), Colour("bt709", False), (1, 0, 9, 8), np.zeros((8, 8, 3), np.float32))


@pytest.mark.parametrize("matrix,code", [("bt601", 5), ("bt709", 1), ("bt2020", 9)])
@pytest.mark.parametrize("pix_fmt", ["yuv444p", "yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("full_range", [False, True])
def test_to_rgb_agrees_with_swscale(matrix: str, code: int, pix_fmt: str, full_range: bool) -> None:
    x, y = np.meshgrid(np.linspace(0.1, 0.9, 64), np.linspace(0.1, 0.9, 48))
    rgb = (255 * np.stack([x, y, 1 - x], axis=-1)).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(
        format=pix_fmt, dst_colorspace=code, dst_color_range=2 if full_range else 1
    )
    got = to_rgb(planes_of(frame), Colour(matrix, full_range))
    again = frame.reformat(
        format="rgb48le", src_colorspace=code, src_color_range=2 if full_range else 1, dst_color_range=2
    )
    assert got.dtype == np.float32 and got.shape == (48, 64, 3)
    assert np.abs(got - again.to_ndarray() / 65535)[2:-2, 2:-2].max() < 0.03
    assert np.abs(got - rgb / 255)[2:-2, 2:-2].max() < 0.03


def test_a_region_equals_the_same_part_of_the_whole() -> None:
    planes, colour = noise_planes("yuv420p", (64, 48)), Colour("bt709", False)
    part = to_rgb(planes, colour, (10, 6, 40, 30))
    assert np.abs(part - to_rgb(planes, colour)[6:30, 10:40]).max() < 1e-6


def test_delta_of_a_conversion_comes_back_through_to_rgb() -> None:
    planes, colour = noise_planes("yuv444p16le"), Colour("bt2020", False)
    planes = Planes(tuple(np.full_like(p, 0x8000) for p in planes.planes), planes.pix_fmt, 0, 0, 16)
    delta = np.random.default_rng(3).uniform(-0.1, 0.1, (8, 8, 3)).astype(np.float32)
    before, after = to_rgb(planes, colour), to_rgb(add_delta(planes, colour, (4, 4, 12, 12), delta), colour)
    assert np.abs((after - before)[4:12, 4:12] - delta).max() < 1e-4
