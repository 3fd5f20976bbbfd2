"""The Frechet distance against its formula, and the network that its figures are named after."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vidinv.losses import lpips
from vidinv.metrics.distribution import Frechet, LastTap, diversity
from vidinv.metrics.mobilenet import MobileNetV2


class Means(nn.Module):
    """Four numbers of a picture stand for its features."""

    num_features = 4

    def forward(self, image: Tensor) -> Tensor:
        return torch.cat([image.mean((2, 3)), image[:, :1].std((2, 3))], 1)


def by_formula(a: Tensor, b: Tensor) -> float:
    """|mean a - mean b|^2 + tr(A + B - 2 (A B)^1/2) in float64, the root by eigenvalues."""
    x, y = (part.double().numpy() for part in (a, b))
    one, two = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = np.sqrt(np.maximum(np.linalg.eigvals(one @ two).real, 0)).sum()
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(one) + np.trace(two) - 2 * root)


def test_it_is_the_formula_however_the_batches_fall() -> None:
    random = torch.Generator().manual_seed(0)
    a, b = torch.randn(40, 3, 8, 8, generator=random), 0.5 + 2 * torch.randn(30, 3, 8, 8, generator=random)
    whole, parted = Frechet(Means()), Frechet(Means())
    whole.add(a, real=True)
    whole.add(b, real=False)
    for part in b.split(7):
        parted.add(part, real=False)
    for part in a.split(9):
        parted.add(part, real=True)
    expected = by_formula(Means()(a), Means()(b))
    assert whole.distance() == pytest.approx(expected, rel=1e-3) and parted.distance() == pytest.approx(
        expected, rel=1e-3
    )


def test_a_set_of_one_has_no_distance() -> None:
    frechet = Frechet(Means())
    frechet.add(torch.zeros(5, 3, 8, 8), real=True)
    frechet.add(torch.zeros(1, 3, 8, 8), real=False)
    with pytest.raises(ValueError, match="at least two"):
        frechet.distance()


def test_the_network_has_the_papers_size() -> None:
    assert sum(p.numel() for p in MobileNetV2().parameters()) == 3_504_872
    with pytest.raises(ValueError, match="takes images"):
        MobileNetV2()(torch.zeros(3, 8, 8))


def test_diversity_is_none_among_equal_pictures_and_the_pairs_mean_among_others() -> None:
    network = lpips.tiny("vgg16")
    images = torch.rand(7, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert diversity(network, images[:1].expand(4, -1, -1, -1)) == 0
    assert diversity(network, images) == pytest.approx(float(network(images[:3], images[3:6]).mean()))
    with pytest.raises(ValueError, match="got 1"):
        diversity(network, images[:1])


def test_the_last_tap_is_the_networks_deepest_feature_over_the_pixels() -> None:
    network = lpips.tiny("vgg16")
    tap = LastTap(network)
    image = torch.rand(2, 3, 16, 16)
    assert tap(image).shape == (2, tap.num_features)
    torch.testing.assert_close(tap(image), network.features(image)[4].mean((2, 3)))
