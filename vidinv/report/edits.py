"""What edits do to real faces: what they are named after, what else, and the person; with a random direction beside.

Every face is inverted, moved along each direction by Eq. 1 at STRENGTHS, drawn and measured. A file (a picture, or a
clip of which several frames were taken) has the mean of its faces as its value, and rises where that value never falls
from one strength to the next and is larger at the last than at the first. A scorer that has come to its end trembles (a
closed mouth does not close further, a sure gender does not get surer): it is also counted with falls of up to NOISE
standard deviations passed over.
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
NOISE = 0.05  # standard deviations of an attribute over faces: less is the scorer's own tremble
BELOW, ABOVE = 1, 2  # where -1 and +1 stand among them
Embed = Callable[[Tensor], Array]  # pictures [N,3,S,S] -> unit embeddings [N,E]


@dataclass(frozen=True)
class EditEvaluators:
    """What draws an edit and what judges it.

    `measure` is the scorer that directions are calibrated by, `second` what other networks say of the attributes
    `seen_twice`. `spreads`: one standard deviation of each attribute over faces, in which a leak is counted. `identity`
    networks by the name of their figure.
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
    """What one direction did, an entry a face: values [4] at STRENGTHS, `control` those along a random direction."""

    files: list[str] = field(default_factory=list)
    scores: list[Mapping[str, Array]] = field(default_factory=list)
    second: list[Array] = field(default_factory=list)  # of the attribute itself; empty where nothing else sees it
    control: list[Array] = field(default_factory=list)
    kept: list[dict[str, Array]] = field(default_factory=list)  # likeness to the real face, by network

    def by_file(self, values: list[Array]) -> Array:
        """[files,4]: the mean over each file's faces of `values`; NaN where none of its faces shows the attribute."""
        rows, names = np.stack(values), np.array(self.files)
        seen = np.isfinite(rows)
        total = [np.where(seen, rows, 0)[names == name].sum(0) for name in dict.fromkeys(self.files)]
        count = [seen[names == name].sum(0) for name in dict.fromkeys(self.files)]
        with np.errstate(invalid="ignore"):
            return np.stack(total) / np.stack(count)

    def summary(self, direction: Direction, spreads: Mapping[str, float]) -> dict[str, Any]:
        """The figures of the direction, as `evaluate` says."""
        of = {name: self.by_file([scores[name] for scores in self.scores]) for name in self.scores[0]}
        own, control = of[direction.name], self.by_file(self.control)
        leak = {name: _mean(of[name][:, ABOVE] - of[name][:, BELOW]) / 2 / spread for name, spread in spreads.items()}
        return {
            "unit": next(iter(direction.calibration), ""),
            "files": len(own),
            "scorer": _course(own) | {"rises_but_for_noise": int(rises(own, NOISE * spreads[direction.name]).sum())},
            "second": _course(self.by_file(self.second)) if self.second else None,
            "random": _course(control) | {"moves": _rounded(_mean(np.abs(control[:, -1] - control[:, 0])))},
            "moves": _rounded(_mean(np.abs(own[:, -1] - own[:, 0]))),
            **{network: _named(np.mean([kept[network] for kept in self.kept], 0)) for network in self.kept[0]},
            "leak": {name: _rounded(value) for name, value in leak.items() if name != direction.name},
        }


def evaluate(
    judges: EditEvaluators,
    faces: Iterable[tuple[Face, Code]],
    chosen: Sequence[Direction],
    tallies: Sequence[published_baselines.Tally],
    seen: Callable[[str, list[Tensor]], None],
) -> dict[str, Any]:
    """{faces, files, inversion: {...}, edits: {NAME: {...}}} over faces and their codes.

    Of a direction: its `unit`; `scorer` and `second` {mean: {strength: value}, rises: files that rise of `files`}, the
    scorer's `rises_but_for_noise` as well; `random` the same of a random direction as long (another for every face);
    `moves`, the mean absolute change from the first strength to the last; each identity network's likeness to the real
    face by strength; `leak`, what strength 1 does to every other attribute, in standard deviations. `second` is None
    where no second network sees the attribute. `tallies` are given the real faces and what strength +1 made of them, at
    256 pixels. `seen` hears of every face: its name, and at 256 pixels the face, its inversion, and each direction's
    first and last strength.
    """
    rows = {direction.name: EditReadings() for direction in chosen}
    still: list[dict[str, float]] = []
    names: dict[str, None] = {}
    for count, (face, code) in enumerate(faces):
        names[face.name] = None
        small, inverted = resize(face.image, SIZE), judges.draw(code)
        persons = {network: embed(face.image)[0] for network, embed in judges.identity.items()}
        alike = {network: float(judges.identity[network](inverted)[0] @ who) for network, who in persons.items()}
        still.append({name: float(value[0]) for name, value in judges.measure(inverted).items()} | alike)
        shown = [small, resize(inverted, SIZE)]
        for tally in tallies:
            tally.add_real(small)
        for direction in chosen:
            pictures = _pictures(judges, code, direction)
            _read(rows[direction.name], judges, direction, face, pictures, persons)
            control = _pictures(judges, code, directions.random_control(direction, seed=count))
            rows[direction.name].control.append(judges.measure(control)[direction.name])
            for tally in tallies:
                tally.add_edit(direction.name, resize(pictures[ABOVE : ABOVE + 1], SIZE), small)
            shown += [resize(pictures[end], SIZE) for end in (slice(0, 1), slice(-1, None))]
        seen(face.name, shown)
    if not still:
        return {"faces": 0, "files": 0, "inversion": {}, "edits": {}}
    return {
        "faces": len(still),
        "files": len(names),
        "inversion": {key: _rounded(_mean(np.array([row[key] for row in still]))) for key in still[0]},
        "edits": {d.name: rows[d.name].summary(d, judges.spreads) for d in chosen},
    }


def rises(values: Array, slack: float = 0.0) -> Array:
    """Which rows of [files,4] never fall by more than `slack` from one strength to the next, and rise over all by more.

    A row with a NaN does not rise.
    """
    return (np.diff(values, axis=1) >= -slack).all(1) & (values[:, -1] - values[:, 0] > slack)


def _pictures(judges: EditEvaluators, code: Code, direction: Direction) -> Tensor:
    """G of the code [1] moved to each of STRENGTHS: [4,3,S,S]."""
    with torch.no_grad():
        moved = [feature_edit.edit(judges.generator, code, [(direction, strength)]) for strength in STRENGTHS]
        return judges.draw(concatenate(moved))


def _read(
    readings: EditReadings,
    judges: EditEvaluators,
    direction: Direction,
    face: Face,
    pictures: Tensor,
    persons: dict[str, Array],
) -> None:
    readings.files.append(face.name)
    readings.scores.append(judges.measure(pictures))
    if direction.name in judges.seen_twice:
        readings.second.append(judges.second(pictures)[direction.name])
    readings.kept.append({network: judges.identity[network](pictures) @ who for network, who in persons.items()})


def _course(values: Array) -> dict[str, Any]:
    """Mean over the files [files,4] at each strength, and how many rise."""
    return {"mean": _named(np.array([_mean(column) for column in values.T])), "rises": int(rises(values).sum())}


def _named(values: Array) -> dict[str, float | None]:
    """By strength, [4]."""
    return {f"{strength:+g}": _rounded(value) for strength, value in zip(STRENGTHS, values, strict=True)}


def _mean(values: Array) -> float:
    """Of what is known; NaN where nothing is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _rounded(value: float) -> float | None:
    """Four figures; None, which JSON has, for NaN."""
    return float(f"{value:.4g}") if np.isfinite(value) else None
