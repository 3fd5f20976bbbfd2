"""What a Feature-Style training minimises (paper Sec. 3.2), on two inversions, x1 = G(w) and x2 = G(w, F)."""

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
from vidinv.trainers.data.face_batches import FaceTrainingBatch, Painter
from vidinv.trainers.feature_style.config import FeatureStyleRecipe


class Parser(Protocol):
    """Five levels of a face parser, and its three maps of class scores."""

    def taps(self, image: Tensor) -> tuple[Tensor, ...]: ...

    def scores(self, image: Tensor) -> tuple[Tensor, ...]: ...


@dataclass(frozen=True)
class Evaluators:
    """The frozen networks that compare pictures; one that no loss asks is None."""

    identity: IdentityNetwork | None
    perceptual: LPIPS | None
    parser: Parser | None


def load_judges(recipe: FeatureStyleRecipe, device: str) -> Evaluators:
    """The judges that the recipe's losses ask, from the weights cache."""
    guides = load_guides(device)
    parser = load_parser().to(device) if recipe.parsing else None
    return Evaluators(
        guides.identity if recipe.identity else None, guides.perceptual if recipe.perceptual else None, parser
    )


class TensorCodes(nn.Module):
    """An encoder that answers (ws, feature): Fabric passes tensors on, and no frozen dataclass."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        code = self.encoder(image)
        return code.ws, code.feature


def encoder_state(average: dict[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's own state out of the weights of {"encoder": TensorCodes(encoder)} as a training returns them."""
    return {key.removeprefix("encoder.encoder."): value for key, value in average.items()}


@dataclass(frozen=True)
class RenderNetworks:
    """What turns codes into pictures: the generator up to layer `at`, and the painter of whole pictures."""

    generator: Generator
    paint: Painter
    at: int
    spread: Tensor  # [1,C,1,1] of the generator's own feature at `at`


def losses(
    encoder: nn.Module,
    drawing: RenderNetworks,
    judges: Evaluators,
    batch: FaceTrainingBatch,
    recipe: FeatureStyleRecipe,
    gap: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The sum that is minimised, and its parts; names that end in 1 and 2 are of x1 and x2.

    `gap` [N,3,S,S] is added to x2: what a quick painter was found to get wrong near there.
    Where features were pasted or a face is covered, w alone cannot draw it, so x1 is asked of whole faces only.
    """
    half = torch.autocast(batch.seen.device.type, torch.bfloat16)
    with half:
        ws, feature = encoder(batch.seen.contiguous(memory_format=torch.channels_last))
    ws, feature = ws.float(), feature.float()
    total = 0.0 * (feature.sum() + ws.sum())  # so that every parameter has a gradient, whatever is off
    parts: dict[str, Tensor] = {}
    known = batch.exact.float()
    if recipe.w:
        each = (ws - batch.ws).square().mean((1, 2)) / recipe.w_variance
        parts["w"] = _mean(each, known * batch.whole)
        total = total + recipe.w * parts["w"]
    if recipe.f and recipe.feature_branch:
        each = ((feature - batch.feature) / drawing.spread).square().mean((1, 2, 3))
        parts["f"] = _mean(each, known)
        total = total + recipe.f * parts["f"]
    injected = feature
    if recipe.feature_branch and (recipe.feature or recipe.feature_ramp):
        with half:
            own = drawing.generator.synthesize(ws, stop=drawing.at).float()  # G^K(w)
        if recipe.feature:
            parts["feature"] = feature_reconstruction(feature, own, stop_gradient=recipe.stop_gradient)
            total = total + recipe.feature * parts["feature"]
        if recipe.feature_ramp:
            share = (batch.done / recipe.feature_ramp).clamp(max=1)[:, None, None, None].to(own)
            injected = torch.lerp(own, feature, share)
    whole = batch.whole
    pixels = batch.synthetic.float() if recipe.pixel_on == "w" else torch.ones_like(known)
    if whole.any():
        with half:
            if recipe.inject_both and recipe.feature_branch:
                x1 = drawing.paint(ws[whole], injected[whole], drawing.at)
            else:
                x1 = drawing.paint(ws[whole])
        first = compare(x1.float(), batch.image[whole], pixels[whole], judges, recipe)
        total = total + recipe.w_image * _weighted(first, recipe)
        parts |= {f"{name}1": value for name, value in first.items()}
    if recipe.feature_branch:
        with half:
            x2 = drawing.paint(ws, injected, drawing.at)
        x2 = x2.float() if gap is None else x2.float() + gap
        second = compare(x2, batch.image, pixels * (recipe.pixel_on == "both"), judges, recipe)
        total = total + _weighted(second, recipe)
        parts |= {f"{name}2": value for name, value in second.items()}
    return total, parts


def compare(
    made: Tensor, wanted: Tensor, pixels: Tensor, judges: Evaluators, recipe: FeatureStyleRecipe
) -> dict[str, Tensor]:
    """Distances of two batches [N,3,S,S] by every judge there is; `pixels` [N] weighs each picture's squared error."""
    found = {"pixel": _mean((made - wanted).square().mean((1, 2, 3)), pixels)}
    half = torch.autocast(made.device.type, torch.bfloat16)
    if judges.perceptual is not None:
        scales = (1.0, 0.5, 0.25)[: recipe.lpips_scales]
        with half:
            found["lpips"] = multi_scale_lpips(judges.perceptual, made, wanted, scales).float()
    if judges.identity is not None:
        alike = identity if recipe.identity_taps == 1 else multi_layer_identity
        found["id"] = alike(judges.identity, made, wanted)
    if judges.parser is not None:
        with half:
            if recipe.parsing_taps == 5:
                found["parsing"] = multi_layer_parsing(judges.parser, made, wanted).float()
            else:
                scores = judges.parser.scores
                found["parsing"] = tap_distance(scores(made), scores(wanted)).float()
    return found


def _weighted(found: dict[str, Tensor], recipe: FeatureStyleRecipe) -> Tensor:
    weights = {"pixel": recipe.pixel, "lpips": recipe.perceptual, "id": recipe.identity, "parsing": recipe.parsing}
    return torch.stack([weights[name] * value for name, value in found.items()]).sum()


def _mean(each: Tensor, weight: Tensor) -> Tensor:
    """Mean of `each` [N] over what `weight` [N] counts; 0 where it counts nothing."""
    return (each * weight).sum() / weight.sum().clamp(min=1)
