"""Compute the losses of generator tuning: L = 1_p [L_recon + L_adv_local] + L_global, and those that preserve edits."""

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

LossResult = tuple[Tensor, dict[str, Tensor]]  # loss to minimise, and its parts


def generator_loss(
    context: TuningContext, discriminator: nn.Module | None, batch: TuningBatch, random: StepRandom
) -> LossResult:
    """Return the loss of the trained layers, and its weighted parts."""
    recipe, code = context.recipe, context.code(batch.ws, batch.feature)
    is_open = bool(torch.rand((), generator=random.shared()) < recipe.gate)  # 1_p
    own = context.draw(code, whole=context.is_whole)
    made = own + batch.gap
    parts = {"none": 0.0 * made.sum()}  # gives every turn a gradient
    if is_open:
        parts |= _reconstruction(context, made, batch.image)
        if recipe.local and discriminator is not None:
            parts["local"] = recipe.local * adversarial.generator(discriminator(resize(made, recipe.side)))
    if recipe.has_samples and batch.is_due(recipe.cohesion_every):
        parts |= _cohesion(context, discriminator, random)
    if recipe.movement and batch.is_due(recipe.movement_every):
        parts["movement"] = recipe.movement * recipe.movement_every * _movement(context, code, own, random)
    if recipe.ball and batch.is_due(recipe.ball_every):
        parts["ball"] = recipe.ball * recipe.ball_every * _ball(context, code, random)
    return torch.stack(list(parts.values())).sum(), parts


def _reconstruction(context: TuningContext, made: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """L_recon: the Laplacian pyramid, squared error and LPIPS."""
    recipe, found = context.recipe, {}
    if recipe.pixel:
        found["pixel"] = recipe.pixel * functional.mse_loss(made, wanted)
    if recipe.pyramid:
        found["pyramid"] = recipe.pyramid * pyramid.distance(made, wanted, recipe.levels, recipe.finer)
    if recipe.perceptual and context.perceptual is not None:
        found["lpips"] = recipe.perceptual * context.perceptual(made, wanted).mean()
    return found


def _cohesion(context: TuningContext, discriminator: nn.Module | None, random: StepRandom) -> dict[str, Tensor]:
    """L_global: adversarial loss of new samples, and their distance to those of the frozen generator."""
    recipe, found = context.recipe, {}
    code = context.code(context.frozen.broadcast(context.latents(recipe.samples, random)))
    made = context.draw(code, whole=context.is_whole)
    if recipe.cohesion and discriminator is not None:
        opinion = adversarial.generator(discriminator(resize(made, recipe.side)))
        found["cohesion"] = recipe.cohesion * recipe.cohesion_every * opinion
    if recipe.anchor:
        with torch.no_grad():
            was = context.draw(code, tuned=False, whole=context.is_whole)
        found["anchor"] = recipe.anchor * recipe.cohesion_every * locality.ball_loss(made, was, context.perceptual)
    return found


def _movement(context: TuningContext, code: Code, own: Tensor, random: StepRandom) -> Tensor:
    """Compare the effect of a random edit (Eq. 1, along a difference of two samples) before and after the tuning."""
    one, other = context.latents(2 * len(code), random).split(len(code))
    with torch.no_grad():
        moved = feature_edit.shift(context.frozen, code, context.frozen.broadcast(context.recipe.step * (one - other)))
        was = [context.draw(each, tuned=False, whole=context.is_whole) for each in (code, moved)]
    side = context.recipe.moved_side
    now = resize(own, side), resize(context.draw(moved, whole=context.is_whole), side)
    return locality.edit_effect_loss(now, (resize(was[0], side), resize(was[1], side)))


def _ball(context: TuningContext, code: Code, random: StepRandom) -> Tensor:
    """Compare tuned and frozen generator on the ball around the pivots, with F moved by Eq. 1."""
    around = context.frozen.broadcast(context.latents(len(code), random))
    with torch.no_grad():
        offset = locality.points_on_ball(code.ws, around, context.recipe.radius) - code.ws
        near = feature_edit.shift(context.frozen, code, offset)
        was = context.draw(near, tuned=False, whole=context.is_whole)
    return locality.ball_loss(context.draw(near, whole=context.is_whole), was, context.perceptual)


def discriminator_loss(
    context: TuningContext, discriminator: nn.Module, batch: TuningBatch, random: StepRandom
) -> LossResult:
    """Return the discriminator's loss: samples of the frozen generator and the pictures are real, tuned ones fake.

    R1 on the samples is part of the same step, every `r1_every`-th time with that factor: in a step of its own, Adam
    would ignore its weight.
    """
    recipe, parts = context.recipe, {}
    with torch.no_grad():
        made = context.draw(context.code(batch.ws, batch.feature), whole=context.is_whole) + batch.gap
        made, wanted = resize(made, recipe.side), resize(batch.image, recipe.side)
        real, drawn = (context.sample(recipe.samples, random, tuned=tuned) for tuned in (False, True))
    if recipe.cohesion:
        parts["cohesion"] = adversarial.discriminator(discriminator(real), discriminator(drawn))
    if recipe.local:
        parts["local"] = adversarial.discriminator(discriminator(wanted), discriminator(made))
    if recipe.r1 and batch.is_due(recipe.cohesion_every * recipe.r1_every):
        real.requires_grad_()
        parts["r1"] = recipe.r1 * recipe.r1_every * adversarial.r1(real, discriminator(real))
    return torch.stack(list(parts.values())).sum(), parts
