"""Image metrics against their formulas, written anew in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vidinv.metrics import image


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(4)
    a = torch.rand(2, 3, 32, 32, generator=random) * 2 - 1
    return a, (a + 0.2 * torch.randn(a.shape, generator=random)).clamp(-1, 1)


def test_psnr_and_mse_follow_their_formulas(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    a, b = (x.double().numpy() for x in pair)
    error = ((a - b) ** 2).mean((1, 2, 3))
    np.testing.assert_allclose(image.mse(*pair).numpy(), error, rtol=1e-5)
    np.testing.assert_allclose(image.psnr(*pair).numpy(), 20 * np.log10(2 / np.sqrt(error)), rtol=1e-5)


def window_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Wang et al. 2004, eq. 13, over an 11x11 window around every pixel of the picture mirrored at its border."""
    a, b = (np.pad(x, ((0, 0), (5, 5), (5, 5)), mode="reflect") for x in (a, b))
    axis = np.exp(-0.5 * ((np.arange(11) - 5) / 1.5) ** 2)
    weight = np.outer(axis, axis) / axis.sum() ** 2
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    values = []
    for x, y in zip(a, b, strict=True):  # channels
        for r in range(a.shape[1] - 10):
            for c in range(a.shape[2] - 10):
                p, q = x[r : r + 11, c : c + 11], y[r : r + 11, c : c + 11]
                mp, mq = (weight * p).sum(), (weight * q).sum()
                vp, vq = (weight * p * p).sum() - mp**2, (weight * q * q).sum() - mq**2
                cov = (weight * p * q).sum() - mp * mq
                values.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    return float(np.mean(values))


def test_ssim_follows_its_formula(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    a, b = (x.double() for x in pair)
    expected = [window_ssim(*each) for each in zip(a.numpy(), b.numpy(), strict=True)]
    np.testing.assert_allclose(image.ssim(a, b).numpy(), expected, atol=1e-7)
    np.testing.assert_allclose(image.ssim(*pair).numpy(), expected, atol=1e-5)
    assert image.ssim(pair[0], pair[0]).tolist() == pytest.approx([1, 1])


def test_images_of_two_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="8, 8"):
        image.mse(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 4, 4))
