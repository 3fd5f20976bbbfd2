"""Tune an encoder to the faces of one clip by a short training on the pictures that it has to invert.

The losses are those of the Feature-Style training on photos. To keep the codes editable, w+ is regularised towards
the untuned encoder's output, and F towards G^K(w), from which Eq. 1 moves it. Batch statistics stay frozen: those of
one person under one light would make the network forget all others. Held-out faces select the best weights and stop the
tuning.

A proxy head renders the training pictures at a lower cost than the generator. Its error on each face is measured at
intervals and added, since an encoder trained on the head alone exploits its errors: on held-out frames of 529_2 a PSNR
of 29.1 dB through a distilled head was 26.7 dB through the generator.
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
from vidinv.trainers.core.early_stopping import Check, SharedPhase, Tuned, train_with_early_stopping
from vidinv.trainers.core.step_random import StepRandom
from vidinv.trainers.data.face_batches import FaceTrainingBatch, RenderFunction
from vidinv.trainers.data.keyed_dataset import KeyedDataset
from vidinv.trainers.data.step_sampler import SampleKey
from vidinv.trainers.data.tensor_batch import TensorBatch
from vidinv.trainers.feature_style import config as feature_style_config
from vidinv.trainers.feature_style import losses as feature_style_losses
from vidinv.trainers.feature_style.losses import Evaluators, RenderNetworks, TensorCodes
from vidinv.trainers.proxy_head.residual import AT_ONCE, load_or_measure, measure_residual

ENCODE_AT_ONCE = 8
CHECKS = 6  # number of evaluations of the held-out faces


@dataclass(frozen=True)
class CorrectedBatch(TensorBatch):
    """A batch, and the error [N,3,S,S] of the quick render function on its faces; None if it is exact."""

    batch: FaceTrainingBatch
    gap: Tensor | None


@dataclass(frozen=True, eq=False)
class ClipFaces(KeyedDataset):
    """Dataset of the faces [N,3,S,S] of a clip, their w+ [N,L,D] before the tuning, and the gap of each or None."""

    faces: Tensor
    known: Tensor
    gap: Tensor | None

    @property
    def length(self) -> int:
        return len(self.faces)

    def batch(self, keys: Sequence[SampleKey]) -> CorrectedBatch:
        pick = [key.entry for key in keys]
        gap = None if self.gap is None else self.gap[pick].to(self.faces)
        return CorrectedBatch(photo_batch(self.faces[pick], self.known[pick]), gap)


def tune(
    encoder: Encoder,
    renderer: RenderNetworks,
    evaluators: Evaluators,
    faces: Tensor,
    tuning: TuneConfig,
    folder: Path,
    progress: Progress | None = None,
    *,
    held: Tensor | None = None,
    feature_branch: bool = True,
    whole: RenderFunction | None = None,
) -> Tuned:
    """Tune a copy of `encoder` on `faces` for at most `tuning.steps` turns; returns the averaged weights.

    `faces` [N,3,S,S] in [-1,1] are on the encoder's device; S is the side that `renderer` renders. With `held` faces
    the weights with the lowest loss on them are returned, and the tuning ends when it stops falling. If `renderer` is
    approximate, `whole` is the exact render function of the same size, which evaluates the held-out faces and corrects
    the renderer CHECKS times. Checkpoints are in `folder`, and an interrupted tuning resumes from them. Raises
    ValueError without faces, VidinvError if a loss is not finite.
    """
    if faces.ndim != 4 or faces.shape[1] != 3 or not len(faces):
        raise ValueError(f"an encoder is tuned to faces [N,3,S,S], got {tuple(faces.shape)}")
    recipe = feature_style_config.for_clip(tuning, feature_branch=feature_branch)
    with torch.no_grad():
        known = torch.cat([encoder(part).ws for part in faces.split(ENCODE_AT_ONCE)])
        spread = renderer.generator.synthesize(known[:ENCODE_AT_ONCE], stop=renderer.at).var()
    recipe = replace(recipe, feature=tuning.feature_reg / float(spread))
    codes, other = TensorCodes(deepcopy(encoder).eval()), deepcopy(encoder).eval()

    def loss(networks: loop.Networks, batch: CorrectedBatch, random: StepRandom) -> tuple[Tensor, dict[str, Tensor]]:
        return feature_style_losses.losses(networks["encoder"], renderer, evaluators, batch.batch, recipe, batch.gap)

    def optimiser(parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=recipe.rate, betas=(0.9, 0.99))

    plan = loop.Plan(
        recipe.images,
        recipe.batch,
        recipe.schedule,
        accelerator=faces.device.type,
        clip=recipe.clip,
        ema=0.95,
        save_every=max(recipe.images // 4, 1),
    )
    step = loop.Step("encoder", ("encoder",), optimiser, loss)

    phase = SharedPhase(progress, recipe.images)

    def trained(steps: int, gap: Tensor | None) -> dict[str, Tensor]:
        until, data = replace(plan, images=steps * tuning.batch), ClipFaces(faces, known, gap)
        return feature_style_losses.encoder_state(
            loop.train({"encoder": codes}, [step], data, until, folder, progress=phase)
        )

    marks = sorted({max(1, round(tuning.steps * k / CHECKS)) for k in range(1, CHECKS + 1)})

    def learn(stop: int) -> dict[str, Tensor]:
        """Return the weights after `stop` steps, a mark; the training is at the previous mark or further."""
        start = max((mark for mark in marks if mark < stop), default=0)

        def gap() -> Tensor:
            other.load_state_dict(trained(start, None) if start else encoder.state_dict())
            return measure_residual(renderer.render, whole or renderer.render, other, faces)

        exact = whole is None or not feature_branch or checkpoint.turns_done(folder) >= stop
        return trained(stop, None if exact else load_or_measure(folder / "gap.safetensors", start, gap))

    try:
        if held is None or not len(held):
            return Tuned([learn(mark) for mark in marks][-1])
        evaluator = _HeldOutEvaluator(
            other, replace(renderer, render=whole or renderer.render), evaluators, held, recipe
        )
        return train_with_early_stopping(learn, evaluator.check, encoder.state_dict(), marks, folder)
    finally:
        phase.close()


@dataclass(frozen=True)
class _HeldOutEvaluator:
    """Evaluator of the held-out faces, with a copy of the encoder that loads any weights."""

    encoder: Encoder
    renderer: RenderNetworks
    evaluators: Evaluators
    held: Tensor
    recipe: feature_style_config.FeatureStyleRecipe

    @torch.no_grad()
    def check(self, state: dict[str, Tensor], step: int) -> Check:
        """Return the loss of the inversions without the regularisation of w+ and F."""
        self.encoder.load_state_dict(state)
        codes, recipe = TensorCodes(self.encoder), replace(self.recipe, w=0.0, f=0.0, feature=0.0)
        loss = error = 0.0
        for part in self.held.split(AT_ONCE):
            unknown = part.new_zeros(len(part), 1, 1)
            total, parts = feature_style_losses.losses(
                codes, self.renderer, self.evaluators, photo_batch(part, unknown), recipe
            )
            share = len(part) / len(self.held)
            loss += share * float(total)
            error += share * float(parts["pixel2" if recipe.feature_branch else "pixel1"])
        return Check(step, loss, 10 * math.log10(4 / error))  # the peak of [-1,1] is 2


def photo_batch(image: Tensor, ws: Tensor) -> FaceTrainingBatch:
    """Return a batch of photos whose w+ should stay near `ws` [N,L,D]; their F is unknown."""
    yes = torch.ones(len(image), dtype=torch.bool, device=image.device)
    return FaceTrainingBatch(
        ws=ws,
        feature=image.new_zeros(len(image)),
        image=image,
        encoder_input=image,
        exact=yes,
        w_suffices=yes,
        synthetic=~yes,
        images_before=torch.zeros(len(image), device=image.device),
    )
