"""Where a reconstruction is looked at once more: the attentions AT1 and AT2 of the GAN-encoder paper (section 3.2).

Aligned pictures are cropped: AT1 keeps the columns from 1/8 to 7/8 of the width, AT2 both axes from 5/32 to 27/32.
Others are weighed by the Grad-CAM heat map of an ImageNet classifier.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

Pair = tuple[Tensor, Tensor]  # what was made and what is wanted, [N,3,H,W] in [-1,1]
Attention = Callable[[Tensor, Tensor], Pair]
FLAT = 1e-6  # largest value of a heat map that says nothing


class Classifier(Protocol):
    """An ImageNet classifier in two parts: MobileNetV2 (`vidinv.metrics.mobilenet`), or a VGG16 of one's own."""

    def maps(self, image: Tensor) -> Tensor:
        """[N,3,H,W] in [-1,1] -> the last convolution's output [N,C,h,w]."""

    def scores(self, maps: Tensor) -> Tensor:
        """[N,C,h,w] -> one score a class [N,K]."""


def at1(image: Tensor) -> Tensor:
    """The columns [W/8, 7W/8) of [N,C,H,W], at its full size again: the whole head of an aligned face."""
    width = _side(image)
    return _enlarged(image[..., width // 8 : 7 * width // 8], image)


def at2(image: Tensor) -> Tensor:
    """[5/32, 27/32) of both axes of [N,C,H,W], at its full size again: the features of an aligned face."""
    start, stop = 5 * _side(image) // 32, 27 * _side(image) // 32
    return _enlarged(image[..., start:stop, start:stop], image)


def cropped(crop: Callable[[Tensor], Tensor]) -> Attention:
    """`at1` or `at2` of both pictures."""
    return lambda made, wanted: (crop(made), crop(wanted))


def heat_map(classifier: Classifier, image: Tensor, *, differentiable: bool = False) -> Tensor:
    """Grad-CAM (Selvaraju et al., eq. 1 and 2) of the class with the highest score: [N,3,H,W] -> [N,1,H,W] in [0,1].

    relu(sum_k a_k A_k), a_k the mean over the pixels of the score's gradient by the last convolution's A_k, divided by
    its maximum. A map without a maximum says nothing: it is 1 everywhere. With `differentiable` gradients reach the
    image, through the inner gradient as well.
    """
    with torch.enable_grad():
        maps = classifier.maps(image if differentiable else image.detach())
        if not maps.requires_grad:
            maps.requires_grad_()
        best = classifier.scores(maps).amax(1).sum()
        (slope,) = torch.autograd.grad(best, maps, create_graph=differentiable)
        raw = functional.relu((slope.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True))  # [N,1,h,w]
        raw = functional.interpolate(raw, image.shape[2:], mode="bilinear", align_corners=False)
    most = raw.amax((1, 2, 3), keepdim=True)
    heat = torch.where(most > FLAT, raw / most.clamp(min=FLAT), 1.0)
    return heat if differentiable else heat.detach()


def heat_attentions(classifier: Classifier) -> tuple[Attention, Attention]:
    """AT1 and AT2 of misaligned pictures: the heat maps as grey pictures, and the pictures under the wanted one's."""

    def first(made: Tensor, wanted: Tensor) -> Pair:
        maps = heat_map(classifier, made, differentiable=made.requires_grad), heat_map(classifier, wanted)
        return maps[0].expand_as(made) * 2 - 1, maps[1].expand_as(wanted) * 2 - 1

    def second(made: Tensor, wanted: Tensor) -> Pair:
        heat = heat_map(classifier, wanted)
        return made * heat, wanted * heat

    return first, second


def _side(image: Tensor) -> int:
    side = int(image.shape[-1])
    if image.ndim != 4 or image.shape[-2] != side or side % 32:
        raise ValueError(f"attentions are cropped of [N,C,S,S], S a multiple of 32, got {tuple(image.shape)}")
    return side


def _enlarged(part: Tensor, image: Tensor) -> Tensor:
    return functional.interpolate(part, image.shape[2:], mode="bilinear", align_corners=False)
