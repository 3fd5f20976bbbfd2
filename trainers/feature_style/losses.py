"""Compute the losses of a Feature-Style training (paper Sec. 3.2) on two inversions, x1 = G(w) and x2 = G(w, F)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from vidinv.editing.refine import load_guides
from vidinv.encoders.base import Encoder
from vidinv.faces.embedder import IdentityNetwork
from vidinv.faces.parser import load_parser
from vidinv.generators.base import Generator
from vidinv.losses.feature import feature_reconstruction
from vidinv.losses.identity import identity, multi_layer_identity, tap_distance
from vidinv.losses.lpips import LPIPS, multi_scale_lpips
from vidinv.losses.parsing import multi_layer_parsing
from vidinv.trainers.data.face_batches import FaceTrainingBatch, RenderFunction
from vidinv.trainers.feature_style.config import FeatureStyleRecipe


class Parser(Protocol):
    """A face parser with five feature levels and three maps of class scores."""

    def taps(self, image: Tensor) -> tuple[Tensor, ...]: ...

    def scores(self, image: Tensor) -> tuple[Tensor, ...]: ...


@dataclass(frozen=True)
class Evaluators:
    """The frozen networks that compare pictures; None for a network that no loss uses."""

    identity: IdentityNetwork | None
    perceptual: LPIPS | None
    parser: Parser | None


def load_evaluators(recipe: FeatureStyleRecipe, device: str) -> Evaluators:
    """Load the networks that the recipe's losses use from the weights cache."""
    guides = load_guides(device)
    parser = load_parser().to(device) if recipe.parsing else None
    return Evaluators(
        guides.identity if recipe.identity else None, guides.perceptual if recipe.perceptual else None, parser
    )


class TensorCodes(nn.Module):
    """Wrap an encoder to return (ws, feature): Fabric handles tensors, but not frozen dataclasses."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        code = self.encoder(image)
        return code.ws, code.feature


def encoder_state(average: dict[str, Tensor]) -> dict[str, Tensor]:
    """Extract the encoder's state from the weights that a training of {"encoder": TensorCodes(encoder)} returns."""
    return {key.removeprefix("encoder.encoder."): value for key, value in average.items()}


@dataclass(frozen=True)
class RenderNetworks:
    """Networks that turn codes into pictures: the generator up to layer `at`, and the render function of pictures."""

    generator: Generator
    render: RenderFunction
    at: int
    spread: Tensor  # [1,C,1,1] of the generator's own feature at `at`


def losses(
    encoder: nn.Module,
    renderer: RenderNetworks,
    evaluators: Evaluators,
    batch: FaceTrainingBatch,
    recipe: FeatureStyleRecipe,
    gap: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the weighted sum of the losses, and its parts; names that end in 1 and 2 are of x1 and x2.

    `gap` [N,3,S,S], the measured error of a quick render function, is added to x2. With pasted features or an occluder
    w alone cannot reproduce the image, so the losses of x1 use only the rows with `w_suffices`.
    """
    half = torch.autocast(batch.encoder_input.device.type, torch.bfloat16)
    with half:
        ws, feature = encoder(batch.encoder_input.contiguous(memory_format=torch.channels_last))
    ws, feature = ws.float(), feature.float()
    total = 0.0 * (feature.sum() + ws.sum())  # every parameter has a gradient, whichever losses are off
    parts: dict[str, Tensor] = {}
    known = batch.exact.float()
    if recipe.w:
        each = (ws - batch.ws).square().mean((1, 2)) / recipe.w_variance
        parts["w"] = _mean(each, known * batch.w_suffices)
        total = total + recipe.w * parts["w"]
    if recipe.f and recipe.feature_branch:
        each = ((feature - batch.feature) / renderer.spread).square().mean((1, 2, 3))
        parts["f"] = _mean(each, known)
        total = total + recipe.f * parts["f"]
    injected = feature
    if recipe.feature_branch and (recipe.feature or recipe.feature_ramp):
        with half:
            own = renderer.generator.synthesize(ws, stop=renderer.at).float()  # G^K(w)
        if recipe.feature:
            parts["feature"] = feature_reconstruction(feature, own, stop_gradient=recipe.stop_gradient)
            total = total + recipe.feature * parts["feature"]
        if recipe.feature_ramp:
            share = (batch.images_before / recipe.feature_ramp).clamp(max=1)[:, None, None, None].to(own)
            injected = torch.lerp(own, feature, share)
    whole = batch.w_suffices
    pixels = batch.synthetic.float() if recipe.pixel_on == "w" else torch.ones_like(known)
    if whole.any():
        with half:
            if recipe.inject_both and recipe.feature_branch:
                x1 = renderer.render(ws[whole], injected[whole], renderer.at)
            else:
                x1 = renderer.render(ws[whole])
        first = compare(x1.float(), batch.image[whole], pixels[whole], evaluators, recipe)
        total = total + recipe.w_image * _weighted(first, recipe)
        parts |= {f"{name}1": value for name, value in first.items()}
    if recipe.feature_branch:
        with half:
            x2 = renderer.render(ws, injected, renderer.at)
        x2 = x2.float() if gap is None else x2.float() + gap
        second = compare(x2, batch.image, pixels * (recipe.pixel_on == "both"), evaluators, recipe)
        total = total + _weighted(second, recipe)
        parts |= {f"{name}2": value for name, value in second.items()}
    return total, parts


def compare(
    made: Tensor, wanted: Tensor, pixels: Tensor, evaluators: Evaluators, recipe: FeatureStyleRecipe
) -> dict[str, Tensor]:
    """Return the distances of two batches [N,3,S,S] by every network given; `pixels` [N] weighs the squared errors."""
    found = {"pixel": _mean((made - wanted).square().mean((1, 2, 3)), pixels)}
    half = torch.autocast(made.device.type, torch.bfloat16)
    if evaluators.perceptual is not None:
        scales = (1.0, 0.5, 0.25)[: recipe.lpips_scales]
        with half:
            found["lpips"] = multi_scale_lpips(evaluators.perceptual, made, wanted, scales).float()
    if evaluators.identity is not None:
        alike = identity if recipe.identity_taps == 1 else multi_layer_identity
        found["id"] = alike(evaluators.identity, made, wanted)
    if evaluators.parser is not None:
        with half:
            if recipe.parsing_taps == 5:
                found["parsing"] = multi_layer_parsing(evaluators.parser, made, wanted).float()
            else:
                scores = evaluators.parser.scores
                found["parsing"] = tap_distance(scores(made), scores(wanted)).float()
    return found


def _weighted(found: dict[str, Tensor], recipe: FeatureStyleRecipe) -> Tensor:
    weights = {"pixel": recipe.pixel, "lpips": recipe.perceptual, "id": recipe.identity, "parsing": recipe.parsing}
    return torch.stack([weights[name] * value for name, value in found.items()]).sum()


def _mean(each: Tensor, weight: Tensor) -> Tensor:
    """Return the mean of `each` [N] weighted by `weight` [N]; 0 if all weights are 0."""
    return (each * weight).sum() / weight.sum().clamp(min=1)
