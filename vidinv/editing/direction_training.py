"""Learn a calibrated direction from scored samples of the generator.

The score is an attribute of the meter (`vidinv.faces.attribute_meter.UNITS`) or a user's function of pictures. A
direction is fitted (`learn`), orthogonalised to other attributes, restricted to the rows of w+ with the best ratio of
effect to side effects, and calibrated: the effect of strength 1, its leakage, and the identity similarity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vidinv.editing import directions, feature_edit, learn
from vidinv.editing.directions import Direction
from vidinv.frames import Array, Code
from vidinv.generators.base import Generator

ROWS = ((0, 4), (0, 6), (2, 8), (4, 10), (0, 8), (0, 12), (6, 16), (0, 16))  # candidate row ranges of w+
TRIED = 1.5  # strength at which the ranges are compared
STRENGTHS = (-2.0, -1.0, 0.0, 1.0, 2.0)  # strengths of the calibration
Paint = Callable[[Code], Tensor]  # N codes -> pictures [N,3,S,S] around [-1,1]
Measure = Callable[[Tensor], Mapping[str, Array]]  # pictures in [-1,1] -> attribute -> [N], NaN where unknown
Embed = Callable[[Tensor], Tensor]  # pictures -> unit embeddings [N,E]


@dataclass(frozen=True)
class Lesson:
    """Settings for learning one attribute.

    `method`: "ridge" for a continuous score, "boundary" (logistic regression between the extremes), or "difference" of
    means for a rare attribute (a score above 0.5). `rows` None selects the best of ROWS.
    """

    name: str
    unit: str
    method: str = "boundary"
    free_of: tuple[str, ...] = ()
    rows: tuple[int, int] | None = None
    region: str = "face"  # of `faces.regions`: where it shows


@dataclass(frozen=True)
class MeasuredSamples:
    """Samples w [N,D], or codes w+ [N,L,D], with their measured scores: attribute -> [N], NaN if unknown."""

    w: Tensor
    scores: Mapping[str, Tensor]

    def known(self, *names: str) -> MeasuredSamples:
        """Return the samples for which all these scores are known."""
        good = torch.stack([self.scores[name].isfinite() for name in names]).all(0)
        return MeasuredSamples(self.w[good], {name: score[good] for name, score in self.scores.items()})


@dataclass(frozen=True)
class RenderContext:
    """Functions that a calibration needs: `paint` renders, `measure` scores, `embed` embeds (None: unavailable)."""

    generator: Generator
    paint: Paint
    measure: Measure
    embed: Embed | None

    @torch.inference_mode()
    def look(self, code: Code, batch: int = 4) -> tuple[dict[str, Array], Tensor]:
        """Return attributes [N] and embeddings [N,E] of the pictures of N codes; equal embeddings without `embed`."""
        rows: list[Mapping[str, Array]] = []
        embeddings = []
        for begin in range(0, len(code), batch):
            picture = self.paint(code[begin : begin + batch]).clamp(-1, 1)
            rows.append(self.measure(picture))
            embeddings.append(picture.new_ones(len(picture), 1) if self.embed is None else self.embed(picture))
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}, torch.cat(embeddings)


def samples(generator: Generator, count: int, seed: int) -> Tensor:
    """Return samples w [N,D], slightly truncated towards the mean."""
    return generator.w_avg + 0.9 * (generator.sample(count, seed=seed) - generator.w_avg)


def code_of(generator: Generator, w: Tensor) -> Code:
    """Return the codes, without a feature, of w [N,D] or w+ [N,L,D]."""
    return Code(w if w.ndim == 3 else generator.broadcast(w), space=generator.space)


def measure_samples(
    studio: RenderContext, w: Tensor, done: Callable[[int], None] = lambda count: None, batch: int = 4
) -> MeasuredSamples:
    """Measure G(w) of every sample; `done` receives the number of measured samples."""
    rows = []
    for part in w.split(batch):
        rows.append(studio.look(code_of(studio.generator, part))[0])
        done(len(part))
    scores = {name: torch.from_numpy(np.concatenate([row[name] for row in rows])).float() for name in rows[0]}
    return MeasuredSamples(w.cpu(), scores)


def normal(lesson: Lesson, readings: MeasuredSamples) -> Tensor:
    """Return the unit vector [D] or [L,D] along which the attribute was fitted, before orthogonalisation."""
    known = readings.known(lesson.name)
    score, w = known.scores[lesson.name], known.w.flatten(1)
    if lesson.method == "difference":
        found = learn.difference(w, score > 0.5)
    else:
        found = learn.ridge(w, score) if lesson.method == "ridge" else learn.boundary(w, score)
    return found.unflatten(0, known.w.shape[1:])


def fit(lesson: Lesson, readings: MeasuredSamples, others: Iterable[Tensor], generator: Generator) -> Direction:
    """Return the direction of a lesson, orthogonal to the `others`' normals, on its rows (all if not chosen yet)."""
    found = normal(lesson, readings)
    vector = learn.condition(found.flatten(), [other.flatten() for other in others]).view_as(found)
    rows = lesson.rows or (0, generator.num_ws)
    origin = f"{len(readings.w)} samples of {generator.name}, {lesson.method}"
    return replace(directions.of_vector(lesson.name, vector, rows, generator, origin=origin), region=lesson.region)


def choose_rows(direction: Direction, studio: RenderContext, w: Tensor, spreads: Mapping[str, float]) -> Direction:
    """Return the direction on the range of ROWS with the best ratio of effect to side effects.

    Both are in standard deviations (`spreads`) of the attributes; the change of identity counts as a side effect.
    """
    slots = studio.generator.num_ws
    ranges = [rows for rows in ROWS if rows[1] <= slots] or [(0, slots)]
    worth = []
    for rows in ranges:
        moved, kept = change(_on(direction, rows, studio), studio, w, TRIED, spreads)
        effect = moved.pop(direction.name)
        beside = float(np.sqrt(np.mean(np.square(list(moved.values()))))) if moved else 0.0
        worth.append(effect / (0.3 + beside + 2 * (1 - kept)))
    return _on(direction, ranges[int(np.argmax(worth))], studio)


def calibrate(
    direction: Direction, unit: str, studio: RenderContext, w: Tensor, spreads: Mapping[str, float], attribute: str = ""
) -> Direction:
    """Return the direction with its calibration, leakage and identity similarity, as means over G(w) of w [N,D].

    `attribute` is what it increases (default: its name). An attribute that cannot be measured is not calibrated.
    """
    looked = {s: studio.look(_moved(direction, studio, w, s)) for s in STRENGTHS}
    name = attribute or direction.name

    def slope(of: str) -> float:
        return float(np.nanmean(looked[1.0][0][of] - looked[-1.0][0][of]) / 2)

    still = looked[0.0][1]
    similarities = {s: round(float((looked[s][1] * still).sum(1).mean()), 3) for s in STRENGTHS if s}
    kept = {} if studio.embed is None else {f"{s:+g}": value for s, value in similarities.items()}
    measured = looked[0.0][0]
    leak = {of: round(slope(of) / spread, 3) for of, spread in spreads.items() if of != name and of in measured}
    calibration = {unit: round(slope(name), 4)} if name in measured else {}
    return replace(direction, calibration=calibration, leak=leak, kept=kept)


def spreads_of(readings: MeasuredSamples) -> dict[str, float]:
    """Return the standard deviation of every attribute over the samples."""
    found = {name: score[score.isfinite()] for name, score in readings.scores.items()}
    return {name: float(score.std()) for name, score in found.items() if len(score) > 1 and float(score.std()) > 0}


def learn_direction(
    lesson: Lesson, lessons: Mapping[str, Lesson], readings: MeasuredSamples, studio: RenderContext, fresh: Tensor
) -> Direction:
    """Learn the calibrated direction of a lesson; rows and figures are measured on G(w) of `fresh` samples [N,D].

    `lessons` define how the attributes of `free_of` are fitted. Rows are chosen only if the attribute can be measured.
    """
    known, generator = spreads_of(readings), studio.generator
    direction = fit(lesson, readings, others(lesson, lessons, readings), generator)
    if lesson.rows is None and lesson.name in studio.look(code_of(generator, fresh[:1]))[0]:
        direction = choose_rows(direction, studio, fresh, known)
    return calibrate(direction, lesson.unit, studio, fresh, known)


def _on(direction: Direction, rows: tuple[int, int], studio: RenderContext) -> Direction:
    """Return the direction on these rows; if its rows differ, strength 1 depends on them."""
    if direction.vector.ndim == 1:
        return replace(direction, layers=rows)
    return replace(direction, layers=rows, deviation=directions.spread(direction.vector, rows, studio.generator))


def _moved(direction: Direction, studio: RenderContext, w: Tensor, strength: float) -> Code:
    return feature_edit.edit(studio.generator, code_of(studio.generator, w), [(direction, strength)])


def change(
    direction: Direction, studio: RenderContext, w: Tensor, strength: float, spreads: Mapping[str, float]
) -> tuple[dict[str, float], float]:
    """Return half the mean change of every attribute from -strength to +strength, in spreads, and the similarity."""
    low, high = (studio.look(_moved(direction, studio, w, s)) for s in (-strength, strength))
    found = {name: float(np.nanmean(high[0][name] - low[0][name]) / 2 / spread) for name, spread in spreads.items()}
    return found, float((low[1] * high[1]).sum(1).mean())


def others(lesson: Lesson, lessons: Mapping[str, Lesson], readings: MeasuredSamples) -> list[Tensor]:
    """Return the normals of the attributes that a lesson is to be free of."""
    return [normal(lessons.get(name, Lesson(name, "")), readings) for name in lesson.free_of]
