"""Gradients of a scorer and of an identity in w, against finite differences in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vidinv.editing import gradients
from vidinv.generators import registry


def score(image: Tensor) -> Tensor:
    return image[:, 0].mean((1, 2)) * 3


def embed(image: Tensor) -> Tensor:
    return functional.normalize(functional.adaptive_avg_pool2d(image, 4).flatten(1), dim=1)


def test_both_are_the_derivatives_of_the_picture() -> None:
    generator = registry.load_generator("mobile-stylegan-tiny").requires_grad_(False).double()
    random = torch.Generator().manual_seed(2)
    w, along = torch.randn(2, 2, generator.w_dim, dtype=torch.float64, generator=random)  # [2,D] each
    found = gradients.measure(generator, w, score, embed, size=generator.resolution, seed=7)
    assert found.score.shape == found.identity.shape == w.shape

    def picture(at: Tensor) -> Tensor:
        made = generator.synthesize(generator.broadcast(at[None]), size=generator.resolution)
        return made.clamp(-gradients.OVERSHOOT, gradients.OVERSHOOT)

    tangents = torch.Generator().manual_seed(7)
    for k in range(2):
        ahead, behind = picture(w[k] + 1e-5 * along[k]), picture(w[k] - 1e-5 * along[k])
        slope = (score(ahead) - score(behind)) / 2e-5
        assert float(found.score[k] @ along[k]) == pytest.approx(float(slope), rel=1e-4)
        here, change = embed(picture(w[k]))[0], (embed(ahead) - embed(behind))[0] / 2e-5
        tangent = torch.randn(len(here), generator=tangents).double()
        tangent -= (tangent @ here) * here
        assert float(found.identity[k] @ along[k]) == pytest.approx(float(change @ tangent), rel=1e-4, abs=1e-7)
        assert float(slope) != 0 and float(change.norm()) != 0


def test_a_gradient_along_some_rows_leaves_the_others_out() -> None:
    generator = registry.load_generator("mobile-stylegan-tiny").requires_grad_(False).double()
    random = torch.Generator().manual_seed(4)
    w, along = torch.randn(2, generator.w_dim, dtype=torch.float64, generator=random)
    ws, step = generator.broadcast(w[None])[0], torch.zeros(generator.num_ws, 1, dtype=torch.float64)
    step[2:5] = 1

    def paint(ws: Tensor) -> Tensor:
        return generator.synthesize(ws, size=generator.resolution)

    found = gradients.along_rows(paint, [ws, ws], score, (2, 5))
    moved = [score(paint((ws + sign * 1e-5 * step * along)[None]).clamp(-1.2, 1.2)) for sign in (1, -1)]
    assert found.shape == (2, generator.w_dim) and torch.equal(found[0], found[1])
    assert float(found[0] @ along) == pytest.approx(float(moved[0] - moved[1]) / 2e-5, rel=1e-4)
