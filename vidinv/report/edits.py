"""Edits: evaluate edits on real faces by their attribute, the other attributes and identity, against random directions.

Every face is inverted, edited along each direction by Eq. 1 at STRENGTHS, drawn and measured. The value of a file (a
picture, or a clip of which several frames are used) is the mean of its faces. A file rises where its value never falls
from one strength to the next and is larger at the last than at the first. A saturated scorer fluctuates (a closed mouth
does not close further), so the files are also counted with falls of up to NOISE standard deviations ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vidinv.editing import directions, feature_edit
from vidinv.editing.direction_training import Measure
from vidinv.editing.directions import Direction
from vidinv.frames import Array, Code, concatenate
from vidinv.generators.base import Generator
from vidinv.generators.ops import resize
from vidinv.report import published_baselines
from vidinv.report.inversions import SIZE, Face

STRENGTHS = (-2.0, -1.0, 1.0, 2.0)
NOISE = 0.05  # standard deviations of an attribute over faces: smaller changes are noise of the scorer
BELOW, ABOVE = 1, 2  # indices of -1 and +1 in STRENGTHS
Embed = Callable[[Tensor], Array]  # pictures [N,3,S,S] -> unit embeddings [N,E]


@dataclass(frozen=True)
class EditEvaluators:
    """The networks that draw an edit and those that evaluate it.

    `measure` is the scorer by which directions are calibrated. `second` measures the attributes `seen_twice` by other
    networks. `spreads` is one standard deviation of each attribute over faces, the unit of a leak. `identity` maps the
    name of a figure to its identity network.
    """

    generator: Generator
    draw: Callable[[Code], Tensor]  # code of N faces -> pictures [N,3,S,S] in [-1,1]
    measure: Measure
    second: Measure
    seen_twice: Collection[str]
    spreads: Mapping[str, float]
    identity: Mapping[str, Embed]


@dataclass
class EditReadings:
    """Measurements of one direction, one entry per face: values [4] at STRENGTHS; `control` of a random direction."""

    files: list[str] = field(default_factory=list)
    scores: list[Mapping[str, Array]] = field(default_factory=list)
    second: list[Array] = field(default_factory=list)  # the same attribute; empty without a second network
    control: list[Array] = field(default_factory=list)
    kept: list[dict[str, Array]] = field(default_factory=list)  # cosine similarity to the real face, by network

    def by_file(self, values: list[Array]) -> Array:
        """[files,4]: the mean of `values` over each file's faces; NaN where none of them shows the attribute."""
        rows, names = np.stack(values), np.array(self.files)
        seen = np.isfinite(rows)
        total = [np.where(seen, rows, 0)[names == name].sum(0) for name in dict.fromkeys(self.files)]
        count = [seen[names == name].sum(0) for name in dict.fromkeys(self.files)]
        with np.errstate(invalid="ignore"):
            return np.stack(total) / np.stack(count)

    def summary(self, direction: Direction, spreads: Mapping[str, float]) -> dict[str, Any]:
        """The figures of the direction, as `evaluate` documents them."""
        of = {name: self.by_file([scores[name] for scores in self.scores]) for name in self.scores[0]}
        own, control = of[direction.name], self.by_file(self.control)
        leak = {name: _mean(of[name][:, ABOVE] - of[name][:, BELOW]) / 2 / spread for name, spread in spreads.items()}
        return {
            "unit": next(iter(direction.calibration), ""),
            "files": len(own),
            "scorer": _mean_and_rises(own)
            | {"rises_but_for_noise": int(rises(own, NOISE * spreads[direction.name]).sum())},
            "second": _mean_and_rises(self.by_file(self.second)) if self.second else None,
            "random": _mean_and_rises(control) | {"moves": _rounded(_mean(np.abs(control[:, -1] - control[:, 0])))},
            "moves": _rounded(_mean(np.abs(own[:, -1] - own[:, 0]))),
            **{network: _by_strength(np.mean([kept[network] for kept in self.kept], 0)) for network in self.kept[0]},
            "leak": {name: _rounded(value) for name, value in leak.items() if name != direction.name},
        }


def evaluate(
    evaluators: EditEvaluators,
    faces: Iterable[tuple[Face, Code]],
    chosen: Sequence[Direction],
    tallies: Sequence[published_baselines.Tally],
    seen: Callable[[str, list[Tensor]], None],
) -> dict[str, Any]:
    """Evaluate directions on faces and their codes: {faces, files, inversion: {...}, edits: {NAME: {...}}}.

    The figures of a direction are its `unit`; `scorer` and `second` as {mean: {strength: value}, rises: number of the
    `files` that rise}, with `rises_but_for_noise` for the scorer; `random`, the same for a random direction of equal
    length (another one for every face); `moves`, the mean absolute change from the first strength to the last; the
    cosine similarity to the real face by strength, for each identity network; and `leak`, the change of every other
    attribute at strength 1, in standard deviations. `second` is None where no second network measures the attribute.
    `tallies` collect the real faces and their edits at strength +1, at 256 pixels. `seen` is called for every face with
    its name and, at 256 pixels, the face, its inversion, and each direction's edits at the first and last strength.
    """
    rows = {direction.name: EditReadings() for direction in chosen}
    inversions: list[dict[str, float]] = []
    names: dict[str, None] = {}
    for count, (face, code) in enumerate(faces):
        names[face.name] = None
        small, inverted = resize(face.image, SIZE), evaluators.draw(code)
        persons = {network: embed(face.image)[0] for network, embed in evaluators.identity.items()}
        similarity = {
            network: float(evaluators.identity[network](inverted)[0] @ person) for network, person in persons.items()
        }
        inversions.append({name: float(value[0]) for name, value in evaluators.measure(inverted).items()} | similarity)
        shown = [small, resize(inverted, SIZE)]
        for tally in tallies:
            tally.add_real(small)
        for direction in chosen:
            pictures = _edited_pictures(evaluators, code, direction)
            _add_readings(rows[direction.name], evaluators, direction, face, pictures, persons)
            control = _edited_pictures(evaluators, code, directions.random_control(direction, seed=count))
            rows[direction.name].control.append(evaluators.measure(control)[direction.name])
            for tally in tallies:
                tally.add_edit(direction.name, resize(pictures[ABOVE : ABOVE + 1], SIZE), small)
            shown += [resize(pictures[end], SIZE) for end in (slice(0, 1), slice(-1, None))]
        seen(face.name, shown)
    if not inversions:
        return {"faces": 0, "files": 0, "inversion": {}, "edits": {}}
    return {
        "faces": len(inversions),
        "files": len(names),
        "inversion": {key: _rounded(_mean(np.array([row[key] for row in inversions]))) for key in inversions[0]},
        "edits": {d.name: rows[d.name].summary(d, evaluators.spreads) for d in chosen},
    }


def rises(values: Array, slack: float = 0.0) -> Array:
    """Which rows of `values` [files,4] rise: no step falls by more than `slack`, and the whole rises by more than it.

    A row with a NaN does not rise.
    """
    return (np.diff(values, axis=1) >= -slack).all(1) & (values[:, -1] - values[:, 0] > slack)


def _edited_pictures(evaluators: EditEvaluators, code: Code, direction: Direction) -> Tensor:
    """The pictures [4,3,S,S] of one code, edited at each of STRENGTHS."""
    with torch.no_grad():
        moved = [feature_edit.edit(evaluators.generator, code, [(direction, strength)]) for strength in STRENGTHS]
        return evaluators.draw(concatenate(moved))


def _add_readings(
    readings: EditReadings,
    evaluators: EditEvaluators,
    direction: Direction,
    face: Face,
    pictures: Tensor,
    persons: dict[str, Array],
) -> None:
    readings.files.append(face.name)
    readings.scores.append(evaluators.measure(pictures))
    if direction.name in evaluators.seen_twice:
        readings.second.append(evaluators.second(pictures)[direction.name])
    readings.kept.append(
        {network: evaluators.identity[network](pictures) @ person for network, person in persons.items()}
    )


def _mean_and_rises(values: Array) -> dict[str, Any]:
    """The mean over the files [files,4] at each strength, and the number of files that rise."""
    return {"mean": _by_strength(np.array([_mean(column) for column in values.T])), "rises": int(rises(values).sum())}


def _by_strength(values: Array) -> dict[str, float | None]:
    """Values [4] by the name of their strength."""
    return {f"{strength:+g}": _rounded(value) for strength, value in zip(STRENGTHS, values, strict=True)}


def _mean(values: Array) -> float:
    """The mean of the finite values; NaN where there are none."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _rounded(value: float) -> float | None:
    """Round to four significant figures; None for NaN, which JSON does not have."""
    return float(f"{value:.4g}") if np.isfinite(value) else None
