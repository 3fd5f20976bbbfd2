"""The watermark in samples: where it lies, what it costs, and that it is read after what happens to videos."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from vidinv.frames import Array, Colour, Planes
from vidinv.media import reader
from vidinv.provenance import payload, watermark_embed
from vidinv.provenance.watermark_detect import Votes

COLOUR, NAME = Colour("bt709", False), "deadbeef"
HEIGHT, WIDTH = 288, 352
CELLS = watermark_embed.grid(HEIGHT, WIDTH, 32)
FACE = (96, 40, 272, 248)  # x0, y0, x1, y1


def picture(index: int = 0, depth: int = 8) -> Planes:
    """A picture as smooth as skin, which moves by half a sample a frame."""
    noise = np.random.default_rng(0).normal(0, 1, (HEIGHT + 64, WIDTH)).astype(np.float32)
    texture = 200 * cv2.GaussianBlur(noise, (0, 0), 6) + 4 * cv2.GaussianBlur(noise[::-1], (0, 0), 1)
    luma = np.clip(125 + texture[index // 2 : index // 2 + HEIGHT], 20, 230) * (1 << (depth - 8))
    kind, chroma = (np.uint8, 128) if depth == 8 else (np.uint16, 512)
    flat = np.full((HEIGHT // 2, WIDTH // 2), chroma, kind)
    return Planes((luma.astype(kind), flat, flat), "yuv420p" if depth == 8 else "yuv420p10le", 1, 1, depth)


def weight() -> Array:
    """A soft ellipse in FACE."""
    y, x = np.mgrid[: FACE[3] - FACE[1], : FACE[2] - FACE[0]]
    far = np.hypot((x / (FACE[2] - FACE[0]) - 0.5) * 2, (y / (FACE[3] - FACE[1]) - 0.5) * 2)
    return np.clip((1 - far) * 8, 0, 1).astype(np.float32)


def marked(planes: Planes, colour: Colour = COLOUR) -> Planes:
    return watermark_embed.add(planes, colour, CELLS, payload.encode(NAME), FACE, weight())


def read(lumas: list[Array]) -> str | None:
    votes = Votes()
    for luma in lumas:
        votes.add(luma)
    message = votes.read()
    return message.identity if message else None


@pytest.mark.parametrize("depth", [8, 10])
def test_only_samples_of_the_edit_change_and_little(depth: int) -> None:
    before = picture(depth=depth)
    after = marked(before)
    whole = np.zeros((HEIGHT, WIDTH), np.float32)
    whole[FACE[1] : FACE[3], FACE[0] : FACE[2]] = weight()
    assert np.array_equal(after.planes[0][whole == 0], before.planes[0][whole == 0])
    assert all(np.array_equal(a, b) for a, b in zip(after.planes[1:], before.planes[1:], strict=True))
    difference = (after.planes[0].astype(float) - before.planes[0])[whole > 0] / (1 << (depth - 8))
    assert 10 * np.log10(255**2 / np.mean(difference**2)) > 40 and difference.any()
    assert after.source is before.source and after.planes[0].dtype == before.planes[0].dtype


def test_a_cells_strength_is_the_product_of_the_definition() -> None:
    luma = picture().planes[0].astype(np.float64)
    row, column = 7, 11
    y, x = (
        (np.arange(HEIGHT) + 0.5) * CELLS.rows / HEIGHT - row,
        (np.arange(WIDTH) + 0.5) * CELLS.columns / WIDTH - column,
    )
    wave = np.where((y >= 0) & (y < 1), np.sin(2 * np.pi * y), 0)[:, None] * np.where(
        (x >= 0) & (x < 1), np.sin(2 * np.pi * x), 0
    )
    wave /= np.sqrt((wave**2).sum())
    expected = (wave * luma).sum() / np.sqrt(HEIGHT / CELLS.rows * WIDTH / CELLS.columns)
    assert watermark_embed.strengths(luma.astype(np.float32), CELLS)[row, column] == pytest.approx(expected, abs=1e-3)


def test_every_patch_of_17_cells_has_every_chip() -> None:
    chips = watermark_embed.chips(60, 80)
    for top, left in ((0, 0), (5, 9), (40, 63)):
        assert len(np.unique(chips[top : top + 17, left : left + 17])) == payload.CHIPS


def test_the_mark_is_read_without_the_source_or_the_place() -> None:
    assert read([marked(picture()).planes[0].astype(np.float32)]) == NAME
    assert read([picture().planes[0].astype(np.float32)]) is None


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("is_mirrored", [False, True])
def test_the_mark_is_read_in_a_turned_and_mirrored_picture(turns: int, is_mirrored: bool) -> None:
    luma = np.rot90(marked(picture()).planes[0].astype(np.float32), turns)
    assert read([np.ascontiguousarray(luma[:, ::-1] if is_mirrored else luma)]) == NAME


def test_rgb_is_marked_alike_in_every_channel() -> None:
    grey = picture().planes[0]
    after = marked(Planes((grey, grey, grey), "gbrp", 0, 0, 8), Colour("bt709", True))
    assert np.array_equal(after.planes[0], after.planes[1]) and np.array_equal(after.planes[0], after.planes[2])
    assert read([watermark_embed.luma_of(after, Colour("bt709", True))]) == NAME


def test_samples_stay_legal() -> None:
    white = picture().planes[0] * 0 + 235
    assert marked(Planes((white, white, white), "yuv444p", 0, 0, 8)).planes[0].max() == 235


@pytest.mark.parametrize(("crf", "share"), [(23, 1.0), (28, 1.0), (23, 0.75)])
def test_the_mark_survives_encoding_and_scaling(tmp_path: Path, crf: int, share: float) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": str(crf)})
        stream.width, stream.height, stream.pix_fmt = int(WIDTH * share), int(HEIGHT * share), "yuv420p"
        for index in range(16):
            luma = marked(picture(index)).planes[0]
            rows = np.concatenate([luma, np.full((HEIGHT // 2, WIDTH), 128, np.uint8)])
            frame = av.VideoFrame.from_ndarray(rows, "yuv420p").reformat(stream.width, stream.height)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    lumas = [watermark_embed.luma_of(batch.native[0], batch.colour) for batch in reader.read_frames(path, batch=1)]
    assert len(lumas) == 16 and read(lumas) == NAME


def test_pixels_that_are_not_square_do_not_move_the_grid() -> None:
    wide, square = watermark_embed.grid(576, 720, 40, Fraction(64, 45)), watermark_embed.grid(576, 1024, 40)
    assert (wide.rows, wide.columns) == (square.rows, square.columns) == (40, 71)


def test_a_larger_face_gets_larger_cells_and_a_small_one_cells_that_last() -> None:
    counts = [watermark_embed.count_for(1080, face) for face in (1000, 500, 300, 40)]
    assert counts == sorted(counts) and counts[0] < counts[-1]
    assert 1080 / counts[-1] >= 6.5
