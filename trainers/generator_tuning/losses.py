"""What a near-perfect inversion minimises: L = 1_p [L_recon + L_adv_local] + L_global, and what keeps its edits."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidinv.editing import feature_edit
from vidinv.frames import Code
from vidinv.generators.ops import resize
from vidinv.losses import adversarial, locality, pyramid
from vidinv.trainers.core.step_random import StepRandom
from vidinv.trainers.generator_tuning.context import TuningBatch, TuningContext

Judged = tuple[Tensor, dict[str, Tensor]]  # what is minimised, and its parts


def of_generator(
    here: TuningContext, discriminator: nn.Module | None, batch: TuningBatch, random: StepRandom
) -> Judged:
    """The sum that the trained layers minimise, and its weighted parts."""
    recipe, code = here.recipe, here.code(batch.ws, batch.feature)
    is_open = bool(torch.rand((), generator=random.shared()) < recipe.gate)  # 1_p
    own = here.draw(code, whole=here.is_whole)
    made = own + batch.gap
    parts = {"none": 0.0 * made.sum()}  # so that every turn has a gradient
    if is_open:
        parts |= _reconstruction(here, made, batch.image)
        if recipe.local and discriminator is not None:
            parts["local"] = recipe.local * adversarial.generator(discriminator(resize(made, recipe.side)))
    if recipe.has_samples and batch.is_due(recipe.cohesion_every):
        parts |= _cohesion(here, discriminator, random)
    if recipe.movement and batch.is_due(recipe.movement_every):
        parts["movement"] = recipe.movement * recipe.movement_every * _movement(here, code, own, random)
    if recipe.ball and batch.is_due(recipe.ball_every):
        parts["ball"] = recipe.ball * recipe.ball_every * _ball(here, code, random)
    return torch.stack(list(parts.values())).sum(), parts


def _reconstruction(here: TuningContext, made: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """L_recon: the Laplacian pyramid, with squared error and LPIPS beside it."""
    recipe, found = here.recipe, {}
    if recipe.pixel:
        found["pixel"] = recipe.pixel * functional.mse_loss(made, wanted)
    if recipe.pyramid:
        found["pyramid"] = recipe.pyramid * pyramid.distance(made, wanted, recipe.levels, recipe.finer)
    if recipe.perceptual and here.perceptual is not None:
        found["lpips"] = recipe.perceptual * here.perceptual(made, wanted).mean()
    return found


def _cohesion(here: TuningContext, discriminator: nn.Module | None, random: StepRandom) -> dict[str, Tensor]:
    """L_global: what the discriminator thinks of new samples, and how far they are from the frozen generator's."""
    recipe, found = here.recipe, {}
    code = here.code(here.frozen.broadcast(here.latents(recipe.samples, random)))
    made = here.draw(code, whole=here.is_whole)
    if recipe.cohesion and discriminator is not None:
        opinion = adversarial.generator(discriminator(resize(made, recipe.side)))
        found["cohesion"] = recipe.cohesion * recipe.cohesion_every * opinion
    if recipe.anchor:
        with torch.no_grad():
            was = here.draw(code, tuned=False, whole=here.is_whole)
        found["anchor"] = recipe.anchor * recipe.cohesion_every * locality.ball_loss(made, was, here.perceptual)
    return found


def _movement(here: TuningContext, code: Code, own: Tensor, random: StepRandom) -> Tensor:
    """What a step along a difference of two samples changes, by Eq. 1, against what it changed before."""
    one, other = here.latents(2 * len(code), random).split(len(code))
    with torch.no_grad():
        moved = feature_edit.shift(here.frozen, code, here.frozen.broadcast(here.recipe.step * (one - other)))
        was = [here.draw(each, tuned=False, whole=here.is_whole) for each in (code, moved)]
    side = here.recipe.moved_side
    now = resize(own, side), resize(here.draw(moved, whole=here.is_whole), side)
    return locality.edit_effect_loss(now, (resize(was[0], side), resize(was[1], side)))


def _ball(here: TuningContext, code: Code, random: StepRandom) -> Tensor:
    """The tuned generator against the frozen one on the ball around the pivots, F moved by Eq. 1."""
    around = here.frozen.broadcast(here.latents(len(code), random))
    with torch.no_grad():
        offset = locality.points_on_ball(code.ws, around, here.recipe.radius) - code.ws
        near = feature_edit.shift(here.frozen, code, offset)
        was = here.draw(near, tuned=False, whole=here.is_whole)
    return locality.ball_loss(here.draw(near, whole=here.is_whole), was, here.perceptual)


def of_discriminator(here: TuningContext, discriminator: nn.Module, batch: TuningBatch, random: StepRandom) -> Judged:
    """Real are the frozen generator's samples (L_global) and the pictures (L_adv_local), not real what is tuned.

    R1 on the samples comes in the same step, every `r1_every`-th time with as much more weight: a step of its own would
    be as long as Adam makes any, whatever its weight.
    """
    recipe, parts = here.recipe, {}
    with torch.no_grad():
        made = here.draw(here.code(batch.ws, batch.feature), whole=here.is_whole) + batch.gap
        made, wanted = resize(made, recipe.side), resize(batch.image, recipe.side)
        real, drawn = (here.sample(recipe.samples, random, tuned=tuned) for tuned in (False, True))
    if recipe.cohesion:
        parts["cohesion"] = adversarial.discriminator(discriminator(real), discriminator(drawn))
    if recipe.local:
        parts["local"] = adversarial.discriminator(discriminator(wanted), discriminator(made))
    if recipe.r1 and batch.is_due(recipe.cohesion_every * recipe.r1_every):
        real.requires_grad_()
        parts["r1"] = recipe.r1 * recipe.r1_every * adversarial.r1(real, discriminator(real))
    return torch.stack(list(parts.values())).sum(), parts
