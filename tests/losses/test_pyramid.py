"""The Laplacian pyramid: taken apart and put together again, blind to constants, and what its distance weighs."""

from __future__ import annotations

import pytest
import torch

from vidinv.losses import pyramid


def picture(seed: int = 0, side: int = 64) -> torch.Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_a_picture_is_put_together_again() -> None:
    image = picture()
    found = pyramid.bands(image, 4)
    assert [band.shape[-1] for band in found] == [64, 32, 16, 8, 4]
    assert (pyramid.image_of(found) - image).abs().max() < 3e-7
    exact = pyramid.image_of(pyramid.bands(image.double(), 4))
    assert (exact - image.double()).abs().max() < 1e-15


def test_a_constant_picture_has_no_high_bands() -> None:
    *high, low = pyramid.bands(torch.full((1, 3, 64, 64), 0.3), 4)
    assert max(float(band.abs().max()) for band in high) < 1e-6
    assert torch.allclose(low, torch.full_like(low, 0.3))


def test_each_octave_is_found_in_its_own_band() -> None:
    x = torch.arange(64.0)
    for period, wanted in ((2, 0), (8, 1), (16, 2)):
        wave = torch.cos(2 * torch.pi * (x + 0.5) / period).expand(1, 1, 64, 64)
        energy = [float(band.square().mean()) for band in pyramid.bands(wave, 4)]
        assert energy.index(max(energy)) == wanted, (period, energy)


def test_what_is_fine_weighs_as_it_is_told() -> None:
    image = picture()
    checks = image.clone()
    checks[..., ::2, ::2] += 0.1
    checks[..., 1::2, 1::2] -= 0.1
    shade = image + 0.1
    assert pyramid.distance(image, image) == 0
    fine, coarse = (pyramid.distance(image, checks, finer=f) for f in (1.0, 0.5))
    assert fine > 10 * coarse
    assert torch.isclose(pyramid.distance(image, shade, finer=0.1), torch.tensor(0.1), atol=1e-3)


def test_a_side_that_cannot_be_halved_is_refused() -> None:
    with pytest.raises(ValueError, match="divisible by 16"):
        pyramid.bands(torch.zeros(1, 3, 40, 40), 4)
