"""What lies before a face is seen, its edge is the picture's, and a clear face has nothing before it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vidinv.faces import alignment, occlusion, pictures
from vidinv.faces.warp import warp_cpu
from vidinv.frames import Array
from vidinv.media import reader

EXAMPLE = Path(__file__).parents[2] / "examples" / "synthetic.mp4"


def test_an_edge_goes_where_the_pictures_is() -> None:
    thing = np.zeros((128, 128), np.float32)
    thing[:, 70:] = 1
    picture = np.repeat((0.3 + 0.4 * thing)[..., None], 3, 2)
    found = np.roll(cv2.GaussianBlur(thing, (0, 0), 3), 2, 1)  # too soft, and beside it
    before, after = (np.abs(each - thing).mean() for each in (found, occlusion.refine_alpha(found, picture)))
    assert after < 0.5 * before


def test_where_nothing_is_nothing_appears() -> None:
    picture = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)
    assert (occlusion.refine_alpha(np.zeros((32, 32), np.float32), picture) == 0).all()


def test_the_filter_is_the_papers() -> None:
    """Against the guided filter written out window by window in float64."""
    random = np.random.default_rng(1)
    picture, alpha = random.random((24, 24, 3)).astype(np.float32), random.random((24, 24)).astype(np.float32) / 2
    reach = max(1, round(occlusion.RADIUS * 24))
    wide = cv2.dilate(alpha, np.ones((3, 3), np.uint8)).astype(np.float64)
    guide = picture.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    slopes, offsets = np.zeros((24, 24)), np.zeros((24, 24))
    for y in range(2 * reach, 24 - 2 * reach):
        for x in range(2 * reach, 24 - 2 * reach):
            window = np.s_[y - reach : y + reach + 1, x - reach : x + reach + 1]
            i, p = guide[window], wide[window]
            slopes[y, x] = ((i * p).mean() - i.mean() * p.mean()) / (i.var() + occlusion.EPSILON)
            offsets[y, x] = p.mean() - slopes[y, x] * i.mean()
    found = occlusion.refine_alpha(alpha, picture)
    for y, x in ((12, 12), (10, 13)):
        window = np.s_[y - reach : y + reach + 1, x - reach : x + reach + 1]
        filtered = slopes[window].mean() * guide[y, x] + offsets[window].mean()
        stretched = (filtered - occlusion.NOTHING) / (occlusion.ALL - occlusion.NOTHING)
        assert found[y, x] == pytest.approx(np.clip(stretched, 0, 1), abs=1e-3) and 0 < found[y, x] < 1


def test_a_picture_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[N,3,128,128\], got \(1, 3, 64, 64\)"):
        occlusion.OcclusionNetwork()(torch.zeros(1, 3, 64, 64))


@pytest.fixture(scope="module")
def face() -> Array:
    """An aligned face [256,256,3] in [0,1] of the synthetic clip."""
    from vidinv.backends import registry as backends

    batch = next(iter(reader.read_frames(EXAMPLE, batch=1)))
    rgb = pictures.picture(batch)
    (points,) = backends.choose_backend("default").locator("2d106")(rgb, 0, None).landmarks
    return warp_cpu(rgb.astype(np.float32) / 255, alignment.to_frame(points, 256), 256)


def seen(picture: Array) -> Array:
    found = occlusion.Occlusion(occlusion.load_network())
    image = torch.from_numpy(picture).permute(2, 0, 1)[None] * 2 - 1
    return occlusion.refine_alpha(found(image)[0], picture)


@pytest.mark.weights
def test_a_bar_is_seen_and_a_clear_face_is_not_covered(face: Array) -> None:
    assert seen(face).mean() < 0.005
    barred = face.copy()
    barred[:, 118:140] = (0.25, 0.3, 0.4)
    alpha = seen(barred)
    assert alpha[90:190, 122:136].mean() > 0.9
    assert alpha[90:190, 60:105].mean() < 0.02 and alpha[90:190, 155:200].mean() < 0.02


@pytest.mark.weights
def test_a_hand_of_the_faces_own_colour_is_seen(face: Array) -> None:
    skin, alpha = face[150:158, 88:96].mean((0, 1)), np.zeros((256, 256), np.float32)
    for x in (96, 118, 140):
        cv2.line(alpha, (x, 170), (x - 4, 120), 1.0, 18, cv2.LINE_AA)
    cv2.ellipse(alpha, (120, 200), (42, 44), 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    depth = cv2.distanceTransform((alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    hand = skin * (1 - 0.3 * np.exp(-depth / 4))[..., None]
    found = seen((face + alpha[..., None] * (hand - face)).astype(np.float32))
    assert found[alpha > 0.9].mean() > 0.6 and found[60:100, 60:200].mean() < 0.02
