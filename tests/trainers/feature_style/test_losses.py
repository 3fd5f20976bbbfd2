"""The losses of the paper's system and its ablations, on codes whose pictures are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vidinv.backends.tiny import guides
from vidinv.errors import UsageError
from vidinv.generators import mobile_stylegan
from vidinv.generators.mobile_stylegan import MobileStyleGAN
from vidinv.trainers.data.face_batches import FaceTrainingBatch
from vidinv.trainers.feature_style import losses as feature_style_losses
from vidinv.trainers.feature_style.config import FeatureStyleRecipe
from vidinv.trainers.feature_style.losses import Evaluators, RenderNetworks

AT = 2
PAPER: dict[str, Any] = {
    **{
        "w": 0.0,
        "f": 0.0,
        "w_image": 1.0,
        "pixel": 1.0,
        "pixel_on": "w",
        "perceptual": 0.2,
        "identity": 0.1,
        "parsing": 0.1,
    },
    **{"feature": 0.01, "identity_taps": 5, "lpips_scales": 3, "size": 512},
}


class Levels(nn.Module):
    """Stands for networks with levels: the picture at three sides."""

    def taps(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(nn.functional.adaptive_avg_pool2d(image, side).flatten(1) + 2 for side in (8, 4, 2))

    def scores(self, image: Tensor) -> tuple[Tensor, ...]:
        return (10 * image.flatten(1) + 1,)


class Answer(nn.Module):
    """An encoder whose codes are its parameters."""

    def __init__(self, ws: Tensor, feature: Tensor) -> None:
        super().__init__()
        self.ws, self.feature = nn.Parameter(ws.clone()), nn.Parameter(feature.clone())

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return self.ws, self.feature


@pytest.fixture(scope="module")
def network() -> MobileStyleGAN:
    return mobile_stylegan.tiny()


@pytest.fixture(scope="module")
def renderer(network: MobileStyleGAN) -> RenderNetworks:
    def render(ws: Tensor, feature: Tensor | None = None, at: int | None = None) -> Tensor:
        return network.synthesize(ws, feature=feature, at=at)

    return RenderNetworks(network, render, AT, torch.ones(1))


def evaluators() -> Evaluators:
    levels: Any = Levels()
    return Evaluators(levels, guides().perceptual, levels)


def batch_of(network: MobileStyleGAN, synthetic: list[bool], done: int = 0) -> FaceTrainingBatch:
    count = len(synthetic)
    z = torch.randn(count, network.z_dim, generator=torch.Generator().manual_seed(3))
    ws = network.broadcast(network.map(z)).detach()
    feature = network.synthesize(ws, stop=AT).detach()
    image = network.synthesize(ws).detach()
    known = torch.tensor(synthetic)
    yes = torch.ones(count, dtype=torch.bool)
    return FaceTrainingBatch(ws, feature, image, image, known, yes, known, torch.full((count,), done))


def parts_of(
    renderer: RenderNetworks, answer: Answer, batch: FaceTrainingBatch, **changes: Any
) -> tuple[Tensor, dict[str, Tensor]]:
    return feature_style_losses.losses(
        answer, renderer, evaluators(), batch, FeatureStyleRecipe(**{**PAPER, **changes})
    )


def test_a_batch_without_a_whole_face_asks_f_alone(network: MobileStyleGAN, renderer: RenderNetworks) -> None:
    batch = batch_of(network, [True, True])
    batch = replace(batch, w_suffices=torch.zeros(2, dtype=torch.bool))
    total, parts = parts_of(renderer, Answer(batch.ws + 0.3, batch.feature + 0.2), batch)
    assert torch.isfinite(total) and "lpips2" in parts and "lpips1" not in parts


def test_the_papers_losses_are_all_there_and_nothing_else(network: MobileStyleGAN, renderer: RenderNetworks) -> None:
    batch = batch_of(network, [True, False])
    answer = Answer(batch.ws + 0.3, batch.feature + 0.2)
    total, parts = parts_of(renderer, answer, batch)
    both = {f"{name}{k}" for name in ("pixel", "lpips", "id", "parsing") for k in (1, 2)}
    assert set(parts) == both | {"feature"} and parts["pixel2"] == 0  # of x1 alone
    weights = {"pixel": 1.0, "lpips": 0.2, "id": 0.1, "parsing": 0.1}
    said = sum(weights[name[:-1]] * parts[name] for name in both) + 0.01 * parts["feature"]
    torch.testing.assert_close(total, said)
    own = network.synthesize(answer.ws, stop=AT)
    expected = (answer.feature - own).square().mean()
    torch.testing.assert_close(parts["feature"], expected, rtol=0.05, atol=0)  # drawn in bfloat16


def test_the_pixels_of_photos_do_not_count(network: MobileStyleGAN, renderer: RenderNetworks) -> None:
    batch = batch_of(network, [True, False])
    answer = Answer(batch.ws + 0.3, batch.feature)
    _, parts = parts_of(renderer, answer, batch)
    with torch.autocast("cpu", torch.bfloat16):
        error = (network.synthesize(answer.ws).float() - batch.image).square().mean((1, 2, 3))
    torch.testing.assert_close(parts["pixel1"], error[0])


def test_without_the_feature_branch_there_is_one_inversion(network: MobileStyleGAN, renderer: RenderNetworks) -> None:
    batch = batch_of(network, [True, True])
    answer = Answer(batch.ws + 0.3, batch.feature + 1)
    total, parts = parts_of(renderer, answer, batch, feature_branch=False)
    assert set(parts) == {"pixel1", "lpips1", "id1", "parsing1"}
    total.backward()
    assert answer.ws.grad is not None and answer.ws.grad.any()
    assert answer.feature.grad is not None and not answer.feature.grad.any()


def test_one_scale_of_lpips_is_less_than_three(network: MobileStyleGAN, renderer: RenderNetworks) -> None:
    batch = batch_of(network, [True, True])
    answer = Answer(batch.ws + 0.3, batch.feature)
    three = parts_of(renderer, answer, batch)[1]["lpips1"]
    one = parts_of(renderer, answer, batch, lpips_scales=1)[1]["lpips1"]
    assert float(three.detach()) > 1.5 * float(one.detach()) > 0


def test_the_published_ramp_blends_f_in_and_gives_it_to_both(network: MobileStyleGAN, renderer: RenderNetworks) -> None:
    far = {"inject_both": True, "feature_ramp": 100, "stop_gradient": True}
    for done, share in ((0, 0.0), (50, 0.5), (400, 1.0)):
        batch = batch_of(network, [True, True], done)
        answer = Answer(batch.ws, batch.feature + 2)
        _, parts = parts_of(renderer, answer, batch, pixel_on="both", **far)
        with torch.autocast("cpu", torch.bfloat16):
            injected = torch.lerp(network.synthesize(batch.ws, stop=AT).float(), answer.feature, share)
            drawn = network.synthesize(batch.ws, feature=injected, at=AT).float()
        expected = (drawn - batch.image).square().mean()
        torch.testing.assert_close(parts["pixel1"], expected, rtol=0.1, atol=1e-4)
        torch.testing.assert_close(parts["pixel1"], parts["pixel2"])


def test_the_papers_feature_loss_moves_w_and_the_published_one_does_not(
    network: MobileStyleGAN, renderer: RenderNetworks
) -> None:
    off = {"pixel": 0.0, "perceptual": 0.0, "identity": 0.0, "parsing": 0.0}
    for stop in (False, True):
        batch = batch_of(network, [True, True])
        answer = Answer(batch.ws, batch.feature + 1)
        total, _ = parts_of(renderer, answer, batch, stop_gradient=stop, **off)
        total.backward()
        assert answer.ws.grad is not None and bool(answer.ws.grad.any()) is not stop


@pytest.mark.parametrize(
    "changes",
    [
        {"synthetic": False},
        {"synthetic": False, "photos": "faces"},
        {"encoder": "large"},
        {"feature_side": 32},
        {"lpips_scales": 3, "size": 128},
        {"batch": 6},
    ],
)
def test_a_recipe_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        FeatureStyleRecipe(**changes).check()


def test_the_published_parsing_loss_compares_scores(network: MobileStyleGAN, renderer: RenderNetworks) -> None:
    batch = batch_of(network, [True, True])
    answer = Answer(batch.ws + 0.3, batch.feature)
    for taps, levels in ((5, Levels().taps), (3, Levels().scores)):
        made = network.synthesize(answer.ws).detach()
        _, parts = parts_of(renderer, answer, batch, parsing_taps=taps)
        pairs = zip(levels(made), levels(batch.image), strict=True)
        expected = sum(1 - nn.functional.cosine_similarity(a, b).mean() for a, b in pairs)
        torch.testing.assert_close(parts["parsing1"], expected, rtol=0.1, atol=1e-3)
