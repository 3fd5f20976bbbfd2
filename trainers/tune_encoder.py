"""Tune an encoder to the faces of one clip: a short training on the pictures that it will have to invert.

The losses are those of the Feature-Style training on photos; w+ is pulled to what the encoder said before, since a code
that reconstructs better and can no longer be edited is none. Batch statistics stay as they were: those of one person
under one light would make the network forget every other. Faces that are held out say which weights are the best, and
when to stop.

A proxy head draws the pictures that teach, at a third of the generator's cost. What it gets wrong on each face is
measured now and then and added, since an encoder that learned from the head alone would paint what only the head shows:
on held-out frames of 529_2 29.1 dB through the head were 26.7 through the generator.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainers import checkpoint, engine, objective, recipe
from trainers.faces import Batch, Painter
from trainers.log import Bar, Shown
from trainers.objective import Drawing, Judges, TensorCodes
from trainers.proxy_gap import AT_ONCE, Truth, kept
from vidinv.config import TuneConfig
from vidinv.encoders.base import Encoder

ENCODE_AT_ONCE = 8
CHECKS, PATIENCE = 6, 2  # how often the held-out faces are looked at; checks in a row without a gain that end it
GAIN = 0.002  # share of the loss that counts as one


@dataclass(frozen=True)
class Check:
    """What the held-out faces said after so many steps: the loss of their inversions, and their PSNR (dB)."""

    step: int
    loss: float
    psnr: float


@dataclass(frozen=True)
class Tuned:
    """The encoder's state after a tuning, and how the held-out faces saw it come, from step 0 on."""

    state: dict[str, Tensor]
    curve: tuple[Check, ...] = ()

    @property
    def best(self) -> Check | None:
        """The check whose weights these are; None where nothing was held out."""
        return min(self.curve, key=lambda check: check.loss, default=None)


@dataclass(frozen=True)
class Corrected:
    """A batch, and the gap [N,3,S,S] of the quick painter's pictures of its faces; None where that is exact."""

    batch: Batch
    gap: Tensor | None

    def to(self, device: torch.device) -> Corrected:
        """The batch on `device`."""
        return Corrected(self.batch.to(device), None if self.gap is None else self.gap.to(device))


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
    asked = recipe.for_clip(tuning, feature_branch=feature_branch)
    with torch.no_grad():
        known = torch.cat([encoder(part).ws for part in faces.split(ENCODE_AT_ONCE)])
    codes, other = TensorCodes(deepcopy(encoder).eval()), deepcopy(encoder).eval()

    def loss(networks: engine.Networks, batch: Corrected) -> tuple[Tensor, dict[str, Tensor]]:
        return objective.losses(networks["encoder"], drawing, judges, batch.batch, asked, batch.gap)

    def draw(turn: int, rows: slice, gap: Tensor | None) -> Corrected:
        past = turn * tuning.batch // len(faces)  # times that every face was seen
        order = torch.randperm(len(faces), generator=torch.Generator().manual_seed(past))
        pick = order[torch.arange(turn * tuning.batch, (turn + 1) * tuning.batch)[rows] % len(faces)]
        return Corrected(photos(faces[pick], known[pick]), None if gap is None else gap[pick].to(faces))

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

    told = _Whole(shown or Bar(), asked.images)

    def trained(steps: int, gap: Tensor | None) -> dict[str, Tensor]:
        def rows(turn: int, which: slice) -> Corrected:
            return draw(turn, which, gap)

        until = replace(plan, images=steps * tuning.batch)
        return objective.encoder_state(engine.train({"encoder": codes}, [step], rows, until, folder, shown=told))

    def learn(start: int, stop: int) -> dict[str, Tensor]:
        """The weights after `stop` steps, of a training whose checkpoint is that of `start` steps or more."""

        def measured() -> Tensor:
            other.load_state_dict(trained(start, None) if start else encoder.state_dict())
            return Truth(drawing.paint, whole or drawing.paint).gap(other, faces)

        exact = whole is None or not feature_branch or checkpoint.turns(folder) >= stop
        return trained(stop, None if exact else kept(folder / "gap.safetensors", start, measured))

    marks = sorted({0, *(max(1, round(tuning.steps * k / CHECKS)) for k in range(1, CHECKS + 1))})
    try:
        if held is None or not len(held):
            return Tuned([learn(*stretch) for stretch in pairwise(marks)][-1])
        judge = _Judge(other, replace(drawing, paint=whole or drawing.paint), judges, held, asked)
        return _stopped_early(learn, judge, encoder.state_dict(), marks, folder)
    finally:
        told.shown.end()


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
        for part in self.held.split(AT_ONCE):
            unknown = part.new_zeros(len(part), 1, 1)
            total, parts = objective.losses(codes, self.drawing, self.judges, photos(part, unknown), asked)
            share = len(part) / len(self.held)
            loss += share * float(total)
            error += share * float(parts["pixel2" if asked.feature_branch else "pixel1"])
        return Check(step, loss, 10 * math.log10(4 / error))  # the peak of [-1,1] is 2


def _stopped_early(
    learn: Callable[[int, int], dict[str, Tensor]],
    judge: _Judge,
    first: dict[str, Tensor],
    marks: list[int],
    folder: Path,
) -> Tuned:
    """Learn from mark to mark and keep the weights that the held-out faces like best; `folder` has what was seen."""
    record, best = folder / "validation.json", folder / "best.safetensors"
    curve = [Check(**check) for check in json.loads(record.read_text())] if record.exists() else []
    for start, step in pairwise([0, *marks]):
        if step <= (curve[-1].step if curve else -1):
            continue
        if _is_over(curve):
            break
        state = learn(start, step) if step else first
        curve.append(judge.check(state, step))
        folder.mkdir(parents=True, exist_ok=True)
        if curve[-1] == Tuned(state, tuple(curve)).best:
            save_file({key: value.cpu().contiguous() for key, value in state.items()}, best)
        partial = record.with_suffix(".part")
        partial.write_text(json.dumps([asdict(check) for check in curve]), encoding="utf-8")
        partial.replace(record)
    return Tuned(load_file(best), tuple(curve))


def _is_over(curve: Sequence[Check]) -> bool:
    """Whether the last PATIENCE checks are no better than what was there before them."""
    before, after = curve[:-PATIENCE], curve[-PATIENCE:]
    return bool(before) and min(c.loss for c in after) > (1 - GAIN) * min(c.loss for c in before)


@dataclass
class _Whole:
    """One bar over a training in several parts: it begins once, and does not end with each."""

    shown: Shown
    images: int
    has_begun: bool = field(default=False)

    def begin(self, images: int, seen: int) -> None:
        if not self.has_begun:
            self.shown.begin(self.images, seen)
        self.has_begun = True

    def advance(self, images: int) -> None:
        self.shown.advance(images)

    def end(self) -> None: ...


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
