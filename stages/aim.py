"""Aim: the strength of every edit that names a value (`age=60`), found on a few of the person's faces."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stages import align, blend, inversion, parts, synthesize
from stages import edit as edits
from stages.parts import Measure, Models
from vidinv.config import MaskConfig, RunConfig
from vidinv.editing import plan, target
from vidinv.editing.plan import Move
from vidinv.frames import Code, Edit, Track

FACES = 3  # of each person
TOLERANCE = 0.05  # of what one unit of strength does


@dataclass(frozen=True)
class Sample:
    """A person's aligned face [1,3,S,S] in [-1,1] and its code."""

    person: int
    image: Tensor
    code: Code


def is_due(moves: Iterable[Move]) -> bool:
    """Whether some move names a value whose strength is not known."""
    return any(move.edit.target is not None for move in moves)


@dataclass(frozen=True)
class Judge:
    """How a value is measured where it will be seen: on the edit blended into the source as the run does."""

    models: Models
    measure: Measure
    mode: str  # of the blend: residual | replace
    mask: MaskConfig

    def value(self, name: str, samples: Sequence[Sample], moves: Sequence[Move]) -> float:
        """The mean over the samples of what is measured with the whole strength of the moves."""
        pictures = torch.cat([self._picture(sample, moves) for sample in samples])
        return float(np.nanmean(self.measure(pictures)[name]))

    @torch.no_grad()
    def _picture(self, sample: Sample, moves: Sequence[Move]) -> Tensor:
        generator, size = self.models.generator, sample.image.shape[-1]
        whole = [
            Move(move.direction, Edit(move.edit.name, move.edit.strength, region=move.edit.region)) for move in moves
        ]
        when = [(0.0, sample.person)]
        edited = edits.moved(generator, self.models.parse, sample.image, sample.code, whole, when)
        edit = synthesize.whole(generator, edited, size).cpu()
        base = sample.image if self.mode == "replace" else synthesize.whole(generator, sample.code, size).cpu()
        labels = self.models.parse(torch.cat([sample.image, edit]), self.mask.parse_size)
        mask = blend.mask_of(labels[0], labels[1], plan.regions(whole, *when[0]), size, self.mask)
        return (sample.image + torch.from_numpy(mask.alpha) * (edit - base)).clamp(-1, 1)


def aimed(moves: Sequence[Move], samples: Sequence[Sample], judge: Judge) -> tuple[list[Move], list[str]]:
    """The moves with a strength each, and a warning for every value that is out of reach.

    Each is sought with the person's other edits on, on the person's samples.
    """
    found, warnings = list(moves), []
    for place, move in enumerate(moves):
        wanted = move.edit.target
        if wanted is None:
            continue
        ((unit, slope),) = move.direction.calibration.items()
        mine = [sample for sample in samples if sample.person == move.edit.track]

        def value(strength: float, move: Move = move, mine: Sequence[Sample] = mine) -> float:
            others = [each for each in found if each.edit.track == move.edit.track and each.edit.name != move.edit.name]
            return judge.value(move.direction.name, mine, [*others, _at(move, strength)])

        best = target.solve(value, wanted, slope, tolerance=TOLERANCE * slope)
        found[place] = _at(move, best.strength, round(best.value, 3))
        if abs(best.value - wanted) > slope / 4:
            warnings.append(
                f"{move.edit.name}={wanted:g} is out of reach for person {move.edit.track}: "
                f"{best.value:.3g} {unit} at strength {best.strength:+.2f}"
            )
    return found, warnings


def _at(move: Move, strength: float, reached: float | None = None) -> Move:
    return Move(move.direction, replace(move.edit, strength=strength, reached=reached))


def of_clip(
    source: Path, tracks: Sequence[Track], models: Models, config: RunConfig, codes: inversion.Codes | None
) -> Iterator[Sample]:
    """FACES samples of every track, evenly over it: with their stored codes, else inverted as a first frame is."""
    wanted = {
        (int(track.frames[k]), track.id): align.rescale(track.to_frame[k], track.crop, config.crop)
        for track in tracks
        for k in align.evenly(FACES, len(track.frames))
    }
    invert = _inverter(models, config)
    for _, (frame, person), image in align.faces(source, wanted, config.crop):
        if codes is not None and codes.known is not None:
            code = codes.known.get(frame, person)
            assert code.feature is not None
            code = replace(code, ws=code.ws.to(models.device), feature=code.feature.to(models.device))
        else:
            code = invert(image)
        yield Sample(person, image, code)


def _inverter(models: Models, config: RunConfig) -> Callable[[Tensor], Code]:
    refine = None if config.refine.is_off else parts.refiner(parts.choose(config.backend), models)

    def invert(image: Tensor) -> Code:
        with torch.no_grad():
            code = models.encoder(image.to(models.device))
        return code if refine is None else refine(code, image.to(models.device), None, config.refine.first)[0]

    return invert


def remembered(
    path: Path, moves: Sequence[Move], find: Callable[[], tuple[list[Move], list[str]]]
) -> tuple[list[Move], list[str]]:
    """What `find` returns, kept at `path`, so that a job that goes on has the same strengths."""
    if path.exists():
        known = json.loads(path.read_text(encoding="utf-8"))
        return [_at(move, *at) for move, at in zip(moves, known["found"], strict=True)], known["warnings"]
    found, warnings = find()
    partial = path.with_suffix(".tmp")
    kept = {"found": [(move.edit.strength, move.edit.reached) for move in found], "warnings": warnings}
    partial.write_text(json.dumps(kept), encoding="utf-8")
    partial.replace(path)
    return found, warnings
