"""Tune an encoder to the faces of one clip: a short training on the pictures that it will have to invert.

The losses are those of the Feature-Style training on photos. A code that reconstructs better and can no longer be
edited is none: w+ is pulled to what the encoder said before, and F to G^K(w), from where Eq. 1 moves it. Batch
statistics stay as they were: those of one person under one light would make the network forget every other. Faces that
are held out say which weights are the best, and when to stop.

A proxy head draws the pictures that teach, at less than the generator's cost. What it gets wrong on each face is
measured now and then and added, since an encoder that learned from the head alone would paint what only the head shows:
on held-out frames of 529_2 29.1 dB through a distilled head were 26.7 through the generator.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from vidinv.config import TuneConfig
from vidinv.encoders.base import Encoder
from vidinv.progress import Progress
from vidinv.trainers.core import checkpoint, loop
from vidinv.trainers.core.early_stopping import Check, SharedPhase, Tuned, stopped_early
from vidinv.trainers.core.step_random import StepRandom
from vidinv.trainers.data.face_batches import FaceTrainingBatch, Painter
from vidinv.trainers.data.keyed_dataset import KeyedDataset
from vidinv.trainers.data.step_sampler import SampleKey
from vidinv.trainers.data.tensor_batch import TensorBatch
from vidinv.trainers.feature_style import config as feature_style_config
from vidinv.trainers.feature_style import losses as feature_style_losses
from vidinv.trainers.feature_style.losses import Evaluators, RenderNetworks, TensorCodes
from vidinv.trainers.proxy_head.residual import AT_ONCE, kept, measured

ENCODE_AT_ONCE = 8
CHECKS = 6  # how often the held-out faces are looked at


@dataclass(frozen=True)
class Corrected(TensorBatch):
    """A batch, and the gap [N,3,S,S] of the quick painter's pictures of its faces; None where that is exact."""

    batch: FaceTrainingBatch
    gap: Tensor | None


@dataclass(frozen=True, eq=False)
class ClipFaces(KeyedDataset):
    """The faces [N,3,S,S] of a clip, their w+ [N,L,D] before the tuning, and the gap of each where there is one."""

    faces: Tensor
    known: Tensor
    gap: Tensor | None

    @property
    def length(self) -> int:
        return len(self.faces)

    def batch(self, keys: Sequence[SampleKey]) -> Corrected:
        pick = [key.entry for key in keys]
        gap = None if self.gap is None else self.gap[pick].to(self.faces)
        return Corrected(photos(self.faces[pick], self.known[pick]), gap)


def tune(
    encoder: Encoder,
    drawing: RenderNetworks,
    judges: Evaluators,
    faces: Tensor,
    tuning: TuneConfig,
    folder: Path,
    shown: Progress | None = None,
    *,
    held: Tensor | None = None,
    feature_branch: bool = True,
    whole: Painter | None = None,
) -> Tuned:
    """The moving average of the weights of a copy of `encoder` over at most `tuning.steps` turns on `faces`.

    `faces` [N,3,S,S] in [-1,1] are on the encoder's device; S is the side that `drawing` paints. With faces `held` out
    the weights are those that invert them best, and the tuning ends when they get no better. Where `drawing` is quick
    and not exact, `whole` is the painter of that size that is: it judges, and corrects the quick one CHECKS times.
    Checkpoints lie in `folder`, and an interrupted tuning goes on from there. Raises ValueError without a face,
    VidinvError where a loss is not finite.
    """
    if faces.ndim != 4 or faces.shape[1] != 3 or not len(faces):
        raise ValueError(f"an encoder is tuned to faces [N,3,S,S], got {tuple(faces.shape)}")
    asked = feature_style_config.for_clip(tuning, feature_branch=feature_branch)
    with torch.no_grad():
        known = torch.cat([encoder(part).ws for part in faces.split(ENCODE_AT_ONCE)])
        spread = drawing.generator.synthesize(known[:ENCODE_AT_ONCE], stop=drawing.at).var()
    asked = replace(asked, feature=tuning.feature_reg / float(spread))
    codes, other = TensorCodes(deepcopy(encoder).eval()), deepcopy(encoder).eval()

    def loss(networks: loop.Networks, batch: Corrected, random: StepRandom) -> tuple[Tensor, dict[str, Tensor]]:
        return feature_style_losses.losses(networks["encoder"], drawing, judges, batch.batch, asked, batch.gap)

    def optimiser(parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=asked.rate, betas=(0.9, 0.99))

    plan = loop.Plan(
        asked.images,
        asked.batch,
        asked.schedule,
        accelerator=faces.device.type,
        clip=asked.clip,
        ema=0.95,
        save_every=max(asked.images // 4, 1),
    )
    step = loop.Step("encoder", ("encoder",), optimiser, loss)

    told = SharedPhase(shown, asked.images)

    def trained(steps: int, gap: Tensor | None) -> dict[str, Tensor]:
        until, data = replace(plan, images=steps * tuning.batch), ClipFaces(faces, known, gap)
        return feature_style_losses.encoder_state(
            loop.train({"encoder": codes}, [step], data, until, folder, shown=told)
        )

    marks = sorted({max(1, round(tuning.steps * k / CHECKS)) for k in range(1, CHECKS + 1)})

    def learn(stop: int) -> dict[str, Tensor]:
        """The weights after `stop` steps, a mark, of a training that is at the mark before or beyond."""
        start = max((mark for mark in marks if mark < stop), default=0)

        def gap() -> Tensor:
            other.load_state_dict(trained(start, None) if start else encoder.state_dict())
            return measured(drawing.paint, whole or drawing.paint, other, faces)

        exact = whole is None or not feature_branch or checkpoint.turns(folder) >= stop
        return trained(stop, None if exact else kept(folder / "gap.safetensors", start, gap))

    try:
        if held is None or not len(held):
            return Tuned([learn(mark) for mark in marks][-1])
        judge = _Judge(other, replace(drawing, paint=whole or drawing.paint), judges, held, asked)
        return stopped_early(learn, judge.check, encoder.state_dict(), marks, folder)
    finally:
        told.close()


@dataclass(frozen=True)
class _Judge:
    """What looks at the held-out faces: a copy of the encoder that takes any weights."""

    encoder: Encoder
    drawing: RenderNetworks
    judges: Evaluators
    held: Tensor
    recipe: feature_style_config.FeatureStyleRecipe

    @torch.no_grad()
    def check(self, state: dict[str, Tensor], step: int) -> Check:
        """The loss of the inversions alone, without the pulls of w+ and F."""
        self.encoder.load_state_dict(state)
        codes, asked = TensorCodes(self.encoder), replace(self.recipe, w=0.0, f=0.0, feature=0.0)
        loss = error = 0.0
        for part in self.held.split(AT_ONCE):
            unknown = part.new_zeros(len(part), 1, 1)
            total, parts = feature_style_losses.losses(codes, self.drawing, self.judges, photos(part, unknown), asked)
            share = len(part) / len(self.held)
            loss += share * float(total)
            error += share * float(parts["pixel2" if asked.feature_branch else "pixel1"])
        return Check(step, loss, 10 * math.log10(4 / error))  # the peak of [-1,1] is 2


def photos(image: Tensor, ws: Tensor) -> FaceTrainingBatch:
    """A batch of whole faces whose w+ should stay near `ws` [N,L,D]; there is no F to be compared with."""
    yes = torch.ones(len(image), dtype=torch.bool, device=image.device)
    return FaceTrainingBatch(
        ws=ws,
        feature=image.new_zeros(len(image)),
        image=image,
        seen=image,
        exact=yes,
        whole=yes,
        synthetic=~yes,
        done=torch.zeros(len(image), device=image.device),
    )
