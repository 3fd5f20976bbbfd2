"""AT1 and AT2: their pixels, their heat maps, and what a picture without any heat becomes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from vidinv.losses import regions
from vidinv.metrics.mobilenet import MobileNetV2


def coordinates(side: int) -> Tensor:
    """[1,2,S,S]: every pixel's column and row."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return torch.stack([columns, rows])[None].double()


@pytest.mark.parametrize(
    ("side", "crop", "columns", "rows"),
    [
        (256, regions.at1, (32, 224), (0, 256)),
        (512, regions.at1, (64, 448), (0, 512)),
        (1024, regions.at1, (128, 896), (0, 1024)),
        (256, regions.at2, (40, 216), (40, 216)),
        (512, regions.at2, (80, 432), (80, 432)),
        (1024, regions.at2, (160, 864), (160, 864)),
    ],
)
def test_the_crops_keep_the_pixels_of_the_paper(
    side: int, crop: Callable[[Tensor], Tensor], columns: tuple[int, int], rows: tuple[int, int]
) -> None:
    seen = crop(coordinates(side))
    assert seen.shape == (1, 2, side, side)
    for axis, (start, stop) in enumerate((columns, rows)):
        assert seen[0, axis].min() == start and seen[0, axis].max() == stop - 1  # bilinear: ends are pixels themselves


def test_no_pixel_outside_a_crop_counts() -> None:
    image = torch.randn(1, 3, 64, 64, requires_grad=True)
    regions.at2(image).square().sum().backward()
    touched = image.grad.abs().sum((0, 1)) > 0  # type: ignore[union-attr]
    expected = torch.zeros(64, 64, dtype=torch.bool)
    expected[10:54, 10:54] = True
    assert torch.equal(touched, expected)


def test_a_picture_that_cannot_be_cropped_is_refused() -> None:
    for shape in ((1, 3, 40, 40), (1, 3, 64, 32), (3, 64, 64)):
        with pytest.raises(ValueError, match="multiple of 32"):
            regions.at1(torch.zeros(shape))


class Bright(nn.Module):
    """Channel 0 is brightness, channel 1 darkness, at a quarter of the side; the one class is how bright it is."""

    def maps(self, image: Tensor) -> Tensor:
        small = nn.functional.avg_pool2d(image.mean(1, keepdim=True), 4)
        return torch.cat([small.clamp(min=0), (-small).clamp(min=0)], 1)

    def scores(self, maps: Tensor) -> Tensor:
        return maps[:, :1].square().mean((2, 3))


def test_the_heat_lies_where_the_class_is() -> None:
    image = -torch.ones(2, 3, 64, 64)
    image[0, :, 16:32, 32:48] = 1
    image[1, :, 48:, :16] = 0.5
    heat = regions.heat_map(Bright(), image)
    assert heat.shape == (2, 1, 64, 64) and heat.min() == 0 and heat.max() == 1
    assert heat[0, 0, 20:28, 36:44].min() == 1 and heat[0, 0, 40:, :].max() == 0
    assert heat[1, 0, 52:, :12].min() == 1 and heat[1, 0, :40].max() == 0


def test_grad_cam_is_its_equation() -> None:
    torch.manual_seed(0)
    convolution, linear = nn.Conv2d(3, 5, 3, padding=1).double(), nn.Linear(5, 4).double()

    class Small:
        def maps(self, image: Tensor) -> Tensor:
            return convolution(image)

        def scores(self, maps: Tensor) -> Tensor:
            return linear(maps.mean((2, 3)))

    image = torch.randn(1, 3, 8, 8, dtype=torch.float64)
    maps = convolution(image)
    best = int(linear(maps.mean((2, 3))).argmax())
    expected = torch.einsum("c,nchw->nhw", linear.weight[best] / 64, maps).clamp(min=0)[:, None]
    torch.testing.assert_close(regions.heat_map(Small(), image), expected / expected.max())


def test_a_flat_map_is_one_everywhere() -> None:
    heat = regions.heat_map(Bright(), -torch.ones(1, 3, 32, 32))
    assert torch.equal(heat, torch.ones(1, 1, 32, 32))


def test_the_heat_attentions_compare_maps_and_what_lies_under_the_wanted_one() -> None:
    torch.manual_seed(0)
    made, wanted = torch.randn(2, 3, 32, 32, requires_grad=True), torch.randn(2, 3, 32, 32)
    first, second = regions.heat_attentions(Bright())
    maps = first(made, wanted)
    assert all(each.detach().abs().max() <= 1 for each in maps)
    (slope,) = torch.autograd.grad((maps[0] - maps[1]).square().sum(), made)
    assert slope.abs().max() > 0
    heat = regions.heat_map(Bright(), wanted)
    torch.testing.assert_close(second(made, wanted)[0], made * heat)
    same = first(wanted, wanted)
    assert torch.equal(same[0], same[1])


def test_mobilenet_gives_heat_maps() -> None:
    torch.manual_seed(0)
    image = torch.rand(2, 3, 64, 64) * 2 - 1
    heat = regions.heat_map(MobileNetV2().eval().requires_grad_(False), image)
    assert heat.shape == (2, 1, 64, 64) and heat.min() >= 0 and heat.amax((1, 2, 3)).eq(1).all()
