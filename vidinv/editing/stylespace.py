"""Select style channels that change one attribute and little else.

StyleSpace holds the modulations that w+ is mapped to, one number per channel (Wu et al., "StyleSpace Analysis").
Candidate channels are those in which samples with high and low scores differ; they are selected by measurement.
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

SHARE = 0.2  # share of the samples that count as high, and as low
PROPOSED = 4  # candidate channels per selected channel
TRIED = 4.0  # standard deviations by which a candidate is moved: a single channel has a small effect
TRIALS = 4  # faces
FEWEST = 0.05  # minimum effect of a selected channel, in standard deviations of the attribute


@torch.no_grad()
def styles(generator: Generator, w: Tensor, batch: int = 64) -> Tensor:
    """Return all style channels [N,S] of w [N,D] or w+ [N,L,D], concatenated over layers, float64 on the CPU.

    Raises UsageError for a generator without style channels.
    """
    rows = []
    for part in direction_training.code_of(generator, w).ws.split(batch):
        made = generator.styles(part.to(generator.w_avg))
        if not made:
            raise UsageError(f"{generator.name} has no style channels", remedy="learn the direction in w")
        rows.append(torch.cat(made, 1).double().cpu())
    return torch.cat(rows)


def difference(values: Tensor, score: Tensor, share: float = SHARE) -> Tensor:
    """Return the mean difference [S] of channels [N,S] between samples with the highest and lowest scores [N].

    It is in standard deviations of each channel; 0 for a constant channel.
    """
    if values.ndim != 2 or score.shape != (len(values),):
        raise ValueError(f"expected channels [N,S] and scores [N], got {tuple(values.shape)}, {tuple(score.shape)}")
    low, high = (values[places].mean(0) for places in learn.sides(score, share))
    spread = values.std(0)
    return torch.where(spread > 1e-9, (high - low) / spread.clamp_min(1e-9), 0.0)


def of_channels(name: str, steps: Tensor, generator: Generator, *, region: str = "face", origin: str = "") -> Direction:
    """Return the direction along `steps` [S] of the style channels; strength 1 is one standard deviation of s.d."""
    vector = (steps / steps.norm()).float()
    spread = float((styles(generator, generator.sample(2000, seed=13)) @ vector.double()).std())
    rows = (0, generator.num_ws)
    return Direction(name, vector, spread, rows, generator.space, kind="style", region=region, origin=origin)


def learn_style_direction(
    wanted: Lesson,
    readings: MeasuredSamples,
    studio: RenderContext,
    fresh: Tensor,
    count: int,
    done: Callable[[int], None] = lambda channels: None,
) -> Direction:
    """Learn a calibrated direction of up to `count` style channels; effects are measured on `fresh` samples.

    Candidates are the channels whose means differ most between samples high and low in the attribute. If the attribute
    can be measured, each candidate is measured alone and those with the best ratio of effect to side effects are
    selected; otherwise the first ones. `done` receives the number of measured candidates. Raises UsageError if no
    channel increases the attribute.
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
        raise UsageError(f"no style channel increases {wanted.name}", remedy="give more faces, or remove --style")
    steps = torch.zeros_like(sizes)
    for channel, effect in effects.items():
        steps[channel] = effect * sizes[channel]
    origin = f"{len(effects)} style channels of {generator.name}"
    made = of_channels(wanted.name, steps, generator, region=wanted.region, origin=origin)
    return direction_training.calibrate(made, wanted.unit, studio, fresh, spreads)


@dataclass(frozen=True)
class Try:
    """Effect of one channel on the attribute, signed, and its `worth`; both 0 for a negligible effect."""

    effect: float
    worth: float


def _tried(
    name: str, channel: int, size: float, studio: RenderContext, fresh: Tensor, spreads: dict[str, float]
) -> Try:
    """Measure a channel moved by TRIED of its standard deviations (`size`), on `fresh` samples."""
    generator = studio.generator
    vector = torch.zeros(
        sum(row.shape[1] for row in generator.styles(direction_training.code_of(generator, fresh[:1]).ws))
    )
    vector[channel] = 1.0
    alone = Direction(name, vector, size, (0, generator.num_ws), generator.space, kind="style")
    moved, kept = direction_training.change(alone, studio, fresh, TRIED, spreads)
    effect = moved.pop(name)
    if not abs(effect) >= FEWEST:  # also true for NaN
        return Try(0.0, 0.0)
    beside = float(np.sqrt(np.nanmean(np.square(list(moved.values()))))) if moved else 0.0
    return Try(effect, abs(effect) / (0.1 + beside + 2 * (1 - kept)))
