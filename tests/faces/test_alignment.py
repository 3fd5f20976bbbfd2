"""The FFHQ crop, the warps both ways and the smoothing of its transforms."""

import cv2
import numpy as np
import torch

from vidinv.faces import alignment, similarity
from vidinv.faces.landmarks import EYE_LEFT, EYE_RIGHT, MOUTH_LEFT, MOUTH_RIGHT


def face(left=(100.0, 120.0), right=(160.0, 120.0), mouth=((110.0, 180.0), (150.0, 180.0))):
    points = np.zeros((106, 2))
    points[list(EYE_LEFT)], points[list(EYE_RIGHT)] = left, right
    points[MOUTH_LEFT], points[MOUTH_RIGHT] = mouth
    return points


def picture(height=300, width=320):
    noise = np.random.default_rng(0).normal(size=(height, width, 3)).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 4) * 4


def test_upright_face_has_the_published_quad():
    # e = (60, 0), m = (0, 60): x = e - rot90(m) = (120, 0), length max(2*60, 1.8*60) = 120; c = (130, 126)
    quad = alignment.ffhq_quad(*(np.array(p, float) for p in [(100, 120), (160, 120), (110, 180), (150, 180)]))
    np.testing.assert_allclose(quad, [(10, 6), (10, 246), (250, 246), (250, 6)])
    affine = alignment.to_frame(face(), 256)
    np.testing.assert_allclose(
        similarity.apply(affine, np.array([[-0.5, -0.5], [127.5, 127.5]])), [(10, 6), (130, 126)]
    )


def test_crop_turns_and_scales_with_the_face():
    turn = np.array([[0.8, -0.6, 30], [0.6, 0.8, -7]]) * 1.3
    expected = similarity.compose(turn, alignment.to_frame(face(), 64))
    np.testing.assert_allclose(alignment.to_frame(similarity.apply(turn, face()), 64), expected, atol=1e-9)


def test_invert_undoes():
    affine = alignment.to_frame(face(), 256)
    np.testing.assert_allclose(similarity.compose(alignment.invert(affine), affine), np.eye(3)[:2], atol=1e-9)


def test_device_warp_equals_cpu_warp_when_it_grows_and_when_it_shrinks():
    image = picture()
    for size in (512, 64):
        affine = alignment.to_frame(face((101, 118), (158, 127)), size)
        cpu = alignment.warp_cpu(image, affine, size)
        device = alignment.warp_device(torch.from_numpy(image).permute(2, 0, 1)[None], torch.from_numpy(affine), size)
        np.testing.assert_allclose(device[0].permute(1, 2, 0).numpy(), cpu, atol=0.02)


def test_shrinking_warp_averages_instead_of_aliasing():
    stripes = np.tile(np.array([-1.0, 1.0], np.float32), (300, 160))[..., None]
    crop = alignment.warp_cpu(np.ascontiguousarray(stripes), alignment.to_frame(face(), 40), 40)
    assert np.abs(crop).max() < 0.1


def test_pasting_a_crop_gives_the_frame_back():
    image = picture()
    affine = alignment.to_frame(face((101, 118), (158, 127)), 512)
    rect = (90, 100, 170, 190)
    back = alignment.paste(alignment.warp_cpu(image, affine, 512), affine, rect)
    np.testing.assert_allclose(back, image[100:190, 90:170], atol=0.05)


def test_smoothing_keeps_steady_motion_to_the_very_ends():
    t = np.arange(20)
    moving = np.stack([np.array([[2.0, 0, 5 + 3 * k], [0, 2.0, 7 - k]]) for k in t])
    np.testing.assert_allclose(alignment.smooth(moving, t, size=256), moving, atol=1e-6)


def test_smoothing_takes_jitter_away_without_delay():
    t = np.arange(60)
    true = np.stack([np.array([[2.0, 0, 20 * np.sin(k / 12)], [0, 2.0, 0]]) for k in t])
    noise = np.random.default_rng(1).normal(size=60)
    noisy = true.copy()
    noisy[:, 0, 2] += noise
    smoothed = alignment.smooth(noisy, t, size=256, sigma_centre=1.5)
    assert np.std((smoothed - true)[5:-5, 0, 2]) < 0.7 * noise.std()
