"""Tune an encoder to the faces of one clip: a short training on the pictures that it will have to invert.

The losses are those of the Feature-Style training on photos; w+ is pulled to what the encoder said before, since a code
that reconstructs better and can no longer be edited is none. Batch statistics stay as they were: those of one person
under one light would make the network forget every other. Faces that are held out say which weights are the best, and
when to stop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from trainers import engine, objective, recipe
from trainers.faces import Batch
from trainers.held_out import Check, Tuned, Whole, stopped_early
from trainers.log import Bar, Shown
from trainers.objective import Drawing, Judges, TensorCodes
from vidinv.config import TuneConfig
from vidinv.encoders.base import Encoder

ENCODE_AT_ONCE = 8
CHECKS = 6  # how often the held-out faces are looked at


def tune(
    encoder: Encoder,
    drawing: Drawing,
    judges: Judges,
    faces: Tensor,
    tuning: TuneConfig,
    folder: Path,
    shown: Shown | None = None,
    *,
    held: Tensor | None = None,
    feature_branch: bool = True,
) -> Tuned:
    """The moving average of the weights of a copy of `encoder` over at most `tuning.steps` turns on `faces`.

    `faces` [N,3,S,S] in [-1,1] are on the encoder's device; S is the side that `drawing` paints. With faces `held` out
    the weights are those that invert them best, and the tuning ends when they get no better. Checkpoints lie in
    `folder`, and an interrupted tuning goes on from there. Raises ValueError without a face, VidinvError where a loss
    is not finite.
    """
    if faces.ndim != 4 or faces.shape[1] != 3 or not len(faces):
        raise ValueError(f"an encoder is tuned to faces [N,3,S,S], got {tuple(faces.shape)}")
    asked = recipe.for_clip(tuning, feature_branch=feature_branch)
    with torch.no_grad():
        known = torch.cat([encoder(part).ws for part in faces.split(ENCODE_AT_ONCE)])
    codes = TensorCodes(deepcopy(encoder).eval())

    def loss(networks: engine.Networks, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        return objective.losses(networks["encoder"], drawing, judges, batch, asked)

    def draw(turn: int, rows: slice) -> Batch:
        past = turn * tuning.batch // len(faces)  # times that every face was seen
        order = torch.randperm(len(faces), generator=torch.Generator().manual_seed(past))
        place = torch.arange(turn * tuning.batch, (turn + 1) * tuning.batch)[rows] % len(faces)
        return photos(faces[order[place]], known[order[place]])

    def optimiser(parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=asked.rate, betas=(0.9, 0.99))

    plan = engine.Plan(
        asked.images,
        asked.batch,
        asked.schedule,
        accelerator=faces.device.type,
        clip=asked.clip,
        ema=0.95,
        save_every=max(asked.images // 4, 1),
    )
    step = engine.Step("encoder", ("encoder",), optimiser, loss)

    def learn(steps: int, shown: Shown | None) -> dict[str, Tensor]:
        until = replace(plan, images=steps * tuning.batch)
        return objective.encoder_state(engine.train({"encoder": codes}, [step], draw, until, folder, shown=shown))

    if held is None or not len(held):
        return Tuned(learn(tuning.steps, shown))
    whole = Whole(shown or Bar(), asked.images)
    judge = _Judge(deepcopy(encoder).eval(), drawing, judges, held, asked)
    marks = sorted({max(1, round(tuning.steps * k / CHECKS)) for k in range(1, CHECKS + 1)})
    try:
        return stopped_early(lambda steps: learn(steps, whole), judge.check, encoder.state_dict(), marks, folder)
    finally:
        whole.close()


@dataclass(frozen=True)
class _Judge:
    """What looks at the held-out faces: a copy of the encoder that takes any weights."""

    encoder: Encoder
    drawing: Drawing
    judges: Judges
    held: Tensor
    recipe: recipe.Recipe

    @torch.no_grad()
    def check(self, state: dict[str, Tensor], step: int) -> Check:
        """The loss of the inversions alone, without the pull to the encoder's first words."""
        self.encoder.load_state_dict(state)
        codes, asked = TensorCodes(self.encoder), replace(self.recipe, w=0.0, f=0.0)
        loss = error = 0.0
        for part in self.held.split(ENCODE_AT_ONCE):
            unknown = part.new_zeros(len(part), 1, 1)
            total, parts = objective.losses(codes, self.drawing, self.judges, photos(part, unknown), asked)
            share = len(part) / len(self.held)
            loss += share * float(total)
            error += share * float(parts["pixel2" if asked.feature_branch else "pixel1"])
        return Check(step, loss, 10 * math.log10(4 / error))  # the peak of [-1,1] is 2


def photos(image: Tensor, ws: Tensor) -> Batch:
    """A batch of whole faces whose w+ should stay near `ws` [N,L,D]; there is no F to be compared with."""
    yes = torch.ones(len(image), dtype=torch.bool, device=image.device)
    return Batch(
        ws=ws,
        feature=image.new_zeros(len(image)),
        image=image,
        seen=image,
        exact=yes,
        whole=yes,
        synthetic=~yes,
        done=torch.zeros(len(image), device=image.device),
    )
