"""Tune an encoder to the faces of one clip: a short training on the pictures that it will have to invert.

The losses are those of the Feature-Style training on photos; w+ is pulled to what the encoder said before, since a code
that reconstructs better and can no longer be edited is none. Batch statistics stay as they were: those of one person
under one light would make the network forget every other.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn

from trainers import engine, objective, recipe
from trainers.faces import Batch
from trainers.log import Shown
from trainers.objective import Drawing, Judges, TensorCodes
from vidinv.config import TuneConfig
from vidinv.encoders.base import Encoder

ENCODE_AT_ONCE = 8


def tune(
    encoder: Encoder,
    drawing: Drawing,
    judges: Judges,
    faces: Tensor,
    tuning: TuneConfig,
    folder: Path,
    shown: Shown | None = None,
    *,
    feature_branch: bool = True,
) -> dict[str, Tensor]:
    """The moving average of the weights of a copy of `encoder` over `tuning.steps` turns on `faces`.

    `faces` [N,3,S,S] in [-1,1] are on the encoder's device; S is the side that `drawing` paints. Checkpoints lie in
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
    average = engine.train(
        {"encoder": codes}, [engine.Step("encoder", ("encoder",), optimiser, loss)], draw, plan, folder, shown=shown
    )
    return objective.encoder_state(average)


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
