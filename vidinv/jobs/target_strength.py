"""Aim: the strength of every edit that names a value (`age=60`), found on a few of the person's faces."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vidinv import fileio
from vidinv.backends import registry as backends
from vidinv.backends.interface import Backend, Models
from vidinv.config import MaskConfig, RunConfig
from vidinv.editing import plan, target
from vidinv.editing.direction_training import Measure
from vidinv.editing.plan import ResolvedEdit
from vidinv.faces import crops
from vidinv.frames import Analysis, Array, Code, Edit
from vidinv.stages import blend, mask, synthesize
from vidinv.stages import codes as stored_codes
from vidinv.stages import edit as edits

FACES = 3  # of each person
TOLERANCE = 0.05  # of what one unit of strength does


@dataclass(frozen=True)
class AimedFace:
    """A person's aligned face [1,3,S,S] in [-1,1], its code, and when it is seen (seconds)."""

    person: int
    image: Tensor
    code: Code
    second: float = 0.0


def is_due(moves: Iterable[ResolvedEdit]) -> bool:
    """Whether some move names a value whose strength is not known."""
    return any(move.edit.target is not None for move in moves)


@dataclass(frozen=True)
class Judge:
    """How a value is measured where it will be seen: on the edit, drawn and blended into the source as the run does."""

    models: Models
    measure: Measure
    mode: str  # of the blend: residual | replace
    mask: MaskConfig

    def value(self, name: str, samples: Sequence[AimedFace], moves: Sequence[ResolvedEdit]) -> float:
        """The mean over the samples of what is measured with the whole strength of the moves; NaN where unseen."""
        pictures = torch.cat([self._picture(sample, moves) for sample in samples])
        found = self.measure(pictures)[name]
        return float(np.nanmean(found)) if np.isfinite(found).any() else math.nan

    @torch.no_grad()
    def _picture(self, sample: AimedFace, moves: Sequence[ResolvedEdit]) -> Tensor:
        models, size = self.models.of(sample.person), sample.image.shape[-1]
        draw = synthesize.build_drawer(models.generator, models.proxy, size)
        whole = [ResolvedEdit(each.direction, replace(each.edit, track=None, span=Edit.span)) for each in moves]
        when = [(0.0, sample.person)]
        found = edits.layers(models.generator, models.parse, sample.image, sample.code, whole, when)
        drawn = [draw(layer.codes) for layer in found]
        source, *parsed = models.parse(torch.cat([sample.image, *drawn]), self.mask.parse_size)
        pairs = zip(found, parsed, strict=True)
        unhidden = {
            layer.region: mask.region_mask(source, labels, layer.region, size, self.mask) for layer, labels in pairs
        }
        (masks,) = mask.remove_occlusion([unhidden], sample.image, models.occlusion, self.mask)
        code = sample.code
        check = models.proxy(code.ws, code.feature, code.at).clamp(-1, 1).cpu()
        _, confidence = mask.measure_confidence(sample.image[0], check[0], next(iter(masks.values())), self.mask)
        shown = [(picture[0], masks[layer.region].alpha) for picture, layer in zip(drawn, found, strict=True)]
        inversion = draw(code)[0] if self.mode == "residual" else sample.image[0]
        delta, _ = blend.compose_layers(sample.image[0], inversion, shown, self.mode, confidence)
        return (sample.image + 2 * torch.from_numpy(delta).permute(2, 0, 1)).clamp(-1, 1)


def attribute_measure(backend: Backend, models: Models, moves: Sequence[ResolvedEdit], config: RunConfig) -> Judge:
    """The judge of a job with these moves."""
    measure = backend.measure()
    return Judge(models, measure, blend.mode_of(config.blend, [move.direction for move in moves]), config.mask)


def aimed(
    moves: Sequence[ResolvedEdit], samples: Sequence[AimedFace], judge: Judge
) -> tuple[list[ResolvedEdit], list[str]]:
    """The moves with a strength each, and a warning for every value that is out of reach or cannot be measured.

    Each is sought on the faces of its person that are seen while it lasts, with the edits on that are there at the same
    time; several values of one person are sought twice over, since each changes what the other finds.
    """
    found, said = list(moves), dict[int, str]()
    due = [place for place, move in enumerate(moves) if move.edit.target is not None]
    again = [k for k in due if any(_coincide(moves[k].edit, moves[other].edit) for other in due if other != k)]
    for place in due + again:
        found[place], warning = _sought(place, found, samples, judge)
        said[place] = warning
    return found, [warning for warning in said.values() if warning]


def _sought(
    place: int, moves: Sequence[ResolvedEdit], samples: Sequence[AimedFace], judge: Judge
) -> tuple[ResolvedEdit, str]:
    """The move at `place` with its strength, and what there is to say of it."""
    move, edit = moves[place], moves[place].edit
    assert edit.target is not None
    ((unit, slope),) = move.direction.calibration.items()
    mine = [each for each in samples if plan.share(edit, each.second, each.person) > 0]
    others = [each for k, each in enumerate(moves) if k != place and _coincide(each.edit, edit)]
    whom = f"{edit.name}={edit.target:g} of person {edit.track}"
    if not mine:
        return _lost(move), f"{whom}: nobody is seen then"

    def value(strength: float) -> float:
        return judge.value(move.direction.name, mine, [*others, _at(move, strength)])

    best = target.solve(value, edit.target, slope, tolerance=TOLERANCE * slope)
    if not math.isfinite(best.value):
        return _lost(move), f"{whom} cannot be measured here; nothing was changed"
    warning = ""
    if abs(best.value - edit.target) > slope / 4:
        warning = f"{whom} is out of reach: {best.value:.3g} {unit} at strength {best.strength:+.2f}"
    return _at(move, best.strength, round(best.value, 3)), warning


def _coincide(a: Edit, b: Edit) -> bool:
    """Whether two edits are of one person and there at one time."""
    return a.track == b.track and max(a.span[0], b.span[0]) < min(a.span[1], b.span[1])


def _lost(move: ResolvedEdit) -> ResolvedEdit:
    return ResolvedEdit(move.direction, replace(move.edit, strength=0.0, is_lost=True))


def _at(move: ResolvedEdit, strength: float, reached: float | None = None) -> ResolvedEdit:
    return ResolvedEdit(move.direction, replace(move.edit, strength=strength, reached=reached))


def of_clip(
    source: Path,
    analysis: Analysis,
    moves: Sequence[ResolvedEdit],
    models: Models,
    config: RunConfig,
    codes: stored_codes.Codes | None,
) -> Iterator[AimedFace]:
    """FACES samples for every value that is named: with their stored codes, else inverted as a first frame is.

    Evenly over the frames on which the person is seen while the edit lasts.
    """
    invert = _inverter(models, config)
    for _, (frame, person), image in crops.aligned_faces(source, wanted(analysis, moves, config.crop), config.crop):
        if codes is not None and codes.known is not None:
            code = codes.known.get(frame, person)
            assert code.feature is not None
            code = replace(code, ws=code.ws.to(models.device), feature=code.feature.to(models.device))
        else:
            code = invert(image, person)
        yield AimedFace(person, image, code, analysis.second(analysis.pts[frame]))


def wanted(analysis: Analysis, moves: Sequence[ResolvedEdit], size: int) -> dict[tuple[int, int], Array]:
    """The (frame, person) of each sample, and its transform for a crop of `size` pixels."""
    found = {}
    for edit in (move.edit for move in moves if move.edit.target is not None):
        for track in analysis.tracks:
            seen = [
                k
                for k, frame in enumerate(track.frames)
                if plan.share(edit, analysis.second(analysis.pts[int(frame)]), track.id) > 0
            ]
            for place in crops.evenly_spaced(FACES, len(seen)) if seen else []:
                k = seen[place]
                found[int(track.frames[k]), track.id] = crops.rescale(track.to_frame[k], track.crop, size)
    return found


def _inverter(models: Models, config: RunConfig) -> Callable[[Tensor, int], Code]:
    refine = None if config.refine.is_off else backends.refiner(models, config.precision)

    def invert(image: Tensor, person: int) -> Code:
        with torch.no_grad():
            code = models.encoder(image.to(models.device))
        if refine is None:
            return code
        return refine(code, image.to(models.device), None, config.refine.first, person)[0]

    return invert


def remembered(
    path: Path, moves: Sequence[ResolvedEdit], find: Callable[[], tuple[list[ResolvedEdit], list[str]]]
) -> tuple[list[ResolvedEdit], list[str]]:
    """What `find` returns, kept at `path`, so that a job that goes on has the same strengths."""
    kept = fileio.read_sealed(path)
    if kept is not None:
        known = json.loads(kept)
        pairs = zip(moves, known["found"], strict=True)
        return [ResolvedEdit(move.direction, replace(move.edit, **at)) for move, at in pairs], known["warnings"]
    found, warnings = find()
    named = ("strength", "reached", "is_lost")
    strengths = [{name: getattr(move.edit, name) for name in named} for move in found]
    fileio.write_sealed(path, json.dumps({"found": strengths, "warnings": warnings}).encode())
    return found, warnings
