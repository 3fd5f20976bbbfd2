"""Our LPIPS equals that of the package `lpips` with the same weights, random ones of the published shapes."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from vidinv.losses import lpips as our_lpips
from vidinv.losses.lpips_package import packaged_lpips

if importlib.util.find_spec("lpips") is None:
    pytest.skip("the extra [lpips] is not installed", allow_module_level=True)

VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)  # 0: a pool


class _Features(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.features = nn.Sequential(*layers)


def alexnet(**_: object) -> nn.Module:
    """The features of torchvision's AlexNet."""
    sizes = ((3, 64, 11, 4, 2), (64, 192, 5, 1, 2), (192, 384, 3, 1, 1), (384, 256, 3, 1, 1), (256, 256, 3, 1, 1))
    layers: list[nn.Module] = []
    for index, (inner, outer, kernel, stride, padding) in enumerate(sizes):
        layers += [nn.Conv2d(inner, outer, kernel, stride, padding), nn.ReLU()]
        layers += [nn.MaxPool2d(3, 2)] if index in (0, 1, 4) else []
    return _Features(*layers)


def vgg16(**_: object) -> nn.Module:
    """The features of torchvision's VGG16."""
    layers, inner = list[nn.Module](), 3
    for width in VGG16:
        layers += [nn.Conv2d(inner, width, 3, 1, 1), nn.ReLU()] if width else [nn.MaxPool2d(2, 2)]
        inner = width or inner
    return _Features(*layers)


@pytest.fixture
def torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for what the package takes of torchvision, which does not import beside every build of torch."""
    stand_in, models = ModuleType("torchvision"), ModuleType("torchvision.models")
    stand_in.models, models.alexnet, models.vgg16 = models, alexnet, vgg16  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", stand_in)
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    monkeypatch.delitem(sys.modules, "lpips", raising=False)


@pytest.mark.parametrize("backbone", sorted(our_lpips.BACKBONES))
def test_the_package_and_ours_say_the_same_of_every_pair(backbone: str, torchvision: None) -> None:
    ours, random = our_lpips.build_zero_lpips(backbone, our_lpips.WIDTHS[backbone]), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in ours.parameters():
            scale = max(parameter[0].numel(), 1) ** -0.5
            parameter.copy_(torch.randn(parameter.shape, generator=random).abs_() * scale - 0.3 * scale)
    a, b = torch.rand(2, 3, 3, 64, 64, generator=random) * 2 - 1
    found, wanted = packaged_lpips(ours)(a, b), ours(a, b)
    assert found.shape == (3,) and wanted.std() > 0
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)
