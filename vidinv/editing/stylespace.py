"""Style channels for an attribute: single modulations of the generator that change it and little else.

StyleSpace is what w+ becomes before it scales the feature maps: one number a channel, finer than rows of w+ (Wu et al.,
"StyleSpace Analysis"). Channels are proposed by how the attribute's samples differ in them, and kept by trial.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vidinv.editing import direction_training, learn
from vidinv.editing.direction_training import Lesson, MeasuredSamples, RenderContext
from vidinv.editing.directions import Direction
from vidinv.errors import UsageError
from vidinv.generators.base import Generator

SHARE = 0.2  # of the samples that count as high, and as low
PROPOSED = 4  # channels tried for one that is kept
TRIED = 4.0  # standard deviations by which a channel is tried: one alone does little
TRIALS = 4  # faces
FEWEST = 0.05  # of a standard deviation of the attribute, that a channel moves when tried, to be kept


@torch.no_grad()
def styles(generator: Generator, w: Tensor, batch: int = 64) -> Tensor:
    """All style channels [N,S] of w [N,D] or w+ [N,L,D], layers side by side, float64 on the CPU.

    Raises UsageError for a generator that has none.
    """
    rows = []
    for part in direction_training.code_of(generator, w).ws.split(batch):
        made = generator.styles(part.to(generator.w_avg))
        if not made:
            raise UsageError(f"nothing is modulated in {generator.name}: it has no style channels", remedy="learn in w")
        rows.append(torch.cat(made, 1).double().cpu())
    return torch.cat(rows)


def difference(values: Tensor, score: Tensor, share: float = SHARE) -> Tensor:
    """Mean normalised difference [S] of the channels [N,S] between the samples of the highest and lowest scores [N].

    In standard deviations of each channel; 0 for one that never changes.
    """
    if values.ndim != 2 or score.shape != (len(values),):
        raise ValueError(f"expected channels [N,S] and scores [N], got {tuple(values.shape)}, {tuple(score.shape)}")
    low, high = (values[places].mean(0) for places in learn.sides(score, share))
    spread = values.std(0)
    return torch.where(spread > 1e-9, (high - low) / spread.clamp_min(1e-9), 0.0)


def of_channels(name: str, steps: Tensor, generator: Generator, *, region: str = "face", origin: str = "") -> Direction:
    """The direction that moves style channels by `steps` [S]; strength 1 is one standard deviation of s.d, |d| = 1."""
    vector = (steps / steps.norm()).float()
    spread = float((styles(generator, generator.sample(2000, seed=13)) @ vector.double()).std())
    rows = (0, generator.num_ws)
    return Direction(name, vector, spread, rows, generator.space, kind="style", region=region, origin=origin)


def learned(
    wanted: Lesson,
    readings: MeasuredSamples,
    studio: RenderContext,
    fresh: Tensor,
    count: int,
    done: Callable[[int], None] = lambda channels: None,
) -> Direction:
    """A direction of up to `count` style channels, calibrated; channels and figures are tried on `fresh` samples.

    Channels whose means differ most between the samples high and low in the attribute are proposed. Where the
    attribute can be measured, each is tried alone, and those are kept that raise it most for what they change beside;
    else the first are kept. `done` hears how many were tried. Raises UsageError where no channel raises it.
    """
    known, generator = readings.known(wanted.name), studio.generator
    values = styles(generator, known.w)
    apart, sizes = difference(values, known.scores[wanted.name]), values.std(0)
    first = apart.abs().argsort(descending=True)[: count * PROPOSED].tolist()
    effects = {channel: float(apart[channel]) for channel in first[:count]}
    spreads = direction_training.spreads_of(readings)
    if wanted.name in studio.look(direction_training.code_of(generator, fresh[:1]))[0]:
        tries = {}
        for channel in first:
            tries[channel] = _tried(wanted.name, channel, float(sizes[channel]), studio, fresh[:TRIALS], spreads)
            done(1)
        best = sorted((channel for channel in first if tries[channel].worth > 0), key=lambda c: -tries[c].worth)
        effects = {channel: tries[channel].effect for channel in best[:count]}
    if not effects:
        raise UsageError(f"no style channel raises {wanted.name}", remedy="give more faces, or leave --style out")
    steps = torch.zeros_like(sizes)
    for channel, effect in effects.items():
        steps[channel] = effect * sizes[channel]
    origin = f"{len(effects)} style channels of {generator.name}"
    made = of_channels(wanted.name, steps, generator, region=wanted.region, origin=origin)
    return direction_training.calibrate(made, wanted.unit, studio, fresh, spreads)


@dataclass(frozen=True)
class Try:
    """What a channel did alone: `effect` on the attribute, signed, and what it is `worth`; 0 where it hardly did it."""

    effect: float
    worth: float


def _tried(
    name: str, channel: int, size: float, studio: RenderContext, fresh: Tensor, spreads: dict[str, float]
) -> Try:
    """A channel moved by TRIED of its standard deviations (`size`), on `fresh` samples."""
    generator = studio.generator
    vector = torch.zeros(
        sum(row.shape[1] for row in generator.styles(direction_training.code_of(generator, fresh[:1]).ws))
    )
    vector[channel] = 1.0
    alone = Direction(name, vector, size, (0, generator.num_ws), generator.space, kind="style")
    moved, kept = direction_training.change(alone, studio, fresh, TRIED, spreads)
    effect = moved.pop(name)
    if not abs(effect) >= FEWEST:  # nor where it is not known
        return Try(0.0, 0.0)
    beside = float(np.sqrt(np.nanmean(np.square(list(moved.values()))))) if moved else 0.0
    return Try(effect, abs(effect) / (0.1 + beside + 2 * (1 - kept)))
