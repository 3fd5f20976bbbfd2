"""Solve the strength of every edit that names a target value (`age=60`) on a few of the person's faces."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
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
from vidinv.stages import edit as edit_stage

FACES = 3  # per person and edit
TOLERANCE = 0.05  # share of the effect of one unit of strength


@dataclass(frozen=True)
class SampleFace:
    """A person's aligned face [1,3,S,S] in [-1,1], its code and its time in seconds."""

    person: int
    image: Tensor
    code: Code
    second: float = 0.0


def has_target(edits: Iterable[ResolvedEdit]) -> bool:
    """Whether any edit names a target value."""
    return any(resolved.edit.target is not None for resolved in edits)


@dataclass(frozen=True)
class TargetEvaluator:
    """Measures an attribute on the final picture: the edit, drawn and blended into the source as in the run."""

    models: Models
    measure: Measure
    mode: str  # blend mode: residual | replace
    mask: MaskConfig

    def value(self, name: str, samples: Sequence[SampleFace], edits: Sequence[ResolvedEdit]) -> float:
        """Mean of the attribute `name` over the samples with all edits at full strength; NaN if not measurable."""
        pictures = torch.cat([self._picture(sample, edits) for sample in samples])
        found = self.measure(pictures)[name]
        return float(np.nanmean(found)) if np.isfinite(found).any() else math.nan

    @torch.no_grad()
    def _picture(self, sample: SampleFace, edits: Sequence[ResolvedEdit]) -> Tensor:
        models, size = self.models.of(sample.person), sample.image.shape[-1]
        draw = synthesize.build_drawer(models.generator, models.proxy, size)
        whole = [ResolvedEdit(each.direction, replace(each.edit, track=None, span=Edit.span)) for each in edits]
        when = [(0.0, sample.person)]
        found = edit_stage.layers(models.generator, models.parse, sample.image, sample.code, whole, when)
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


def build_evaluator(
    backend: Backend, models: Models, edits: Sequence[ResolvedEdit], config: RunConfig
) -> TargetEvaluator:
    """Build the evaluator of a job with these edits."""
    measure = backend.measure()
    return TargetEvaluator(
        models, measure, blend.mode_of(config.blend, [resolved.direction for resolved in edits]), config.mask
    )


def solve_targets(
    edits: Sequence[ResolvedEdit], samples: Sequence[SampleFace], evaluator: TargetEvaluator
) -> tuple[list[ResolvedEdit], list[str]]:
    """Return the edits with strengths, and a warning for every value that is out of reach or not measurable.

    Each strength is solved on the samples of its person within the edit's time span, together with the edits that
    overlap it. Overlapping targets of one person are solved twice, since each affects the other.
    """
    found, warnings = list(edits), dict[int, str]()
    due = [place for place, resolved in enumerate(edits) if resolved.edit.target is not None]
    again = [k for k in due if any(_overlap(edits[k].edit, edits[other].edit) for other in due if other != k)]
    for place in due + again:
        found[place], warning = _solve_one(place, found, samples, evaluator)
        warnings[place] = warning
    return found, [warning for warning in warnings.values() if warning]


def _solve_one(
    place: int, edits: Sequence[ResolvedEdit], samples: Sequence[SampleFace], evaluator: TargetEvaluator
) -> tuple[ResolvedEdit, str]:
    """The edit at `place` with its strength, and a warning (empty if there is none)."""
    resolved, edit = edits[place], edits[place].edit
    assert edit.target is not None
    ((unit, slope),) = resolved.direction.calibration.items()
    mine = [each for each in samples if plan.share(edit, each.second, each.person) > 0]
    others = [each for k, each in enumerate(edits) if k != place and _overlap(each.edit, edit)]
    whom = f"{edit.name}={edit.target:g} of person {edit.track}"
    if not mine:
        return _without_strength(resolved), f"{whom}: the person is not visible during the edit"

    def value(strength: float) -> float:
        return evaluator.value(resolved.direction.name, mine, [*others, _with_strength(resolved, strength)])

    best = target.solve(value, edit.target, slope, tolerance=TOLERANCE * slope)
    if not math.isfinite(best.value):
        return _without_strength(resolved), f"{whom} cannot be measured on this clip; the edit was left out"
    warning = ""
    if abs(best.value - edit.target) > slope / 4:
        warning = f"{whom} is out of reach: {best.value:.3g} {unit} at strength {best.strength:+.2f}"
    return _with_strength(resolved, best.strength, round(best.value, 3)), warning


def _overlap(a: Edit, b: Edit) -> bool:
    """Whether two edits are of the same person and overlap in time."""
    return a.track == b.track and max(a.span[0], b.span[0]) < min(a.span[1], b.span[1])


def _without_strength(resolved: ResolvedEdit) -> ResolvedEdit:
    return ResolvedEdit(resolved.direction, replace(resolved.edit, strength=0.0, is_lost=True))


def _with_strength(resolved: ResolvedEdit, strength: float, reached: float | None = None) -> ResolvedEdit:
    return ResolvedEdit(resolved.direction, replace(resolved.edit, strength=strength, reached=reached))


def iterate_samples(
    source: Path,
    analysis: Analysis,
    edits: Sequence[ResolvedEdit],
    models: Models,
    config: RunConfig,
    codes: stored_codes.Codes | None,
) -> Iterator[SampleFace]:
    """Yield FACES samples per person and target, with their stored codes or inverted like the first frame of a track.

    They are spaced evenly over the frames that show the person during the edit.
    """
    invert = _build_inverter(models, config)
    for _, (frame, person), image in crops.aligned_faces(
        source, sample_transforms(analysis, edits, config.crop), config.crop, config.stream
    ):
        if codes is not None and codes.known is not None:
            code = codes.known.get(frame, person)
            assert code.feature is not None
            code = replace(code, ws=code.ws.to(models.device), feature=code.feature.to(models.device))
        else:
            code = invert(image, person)
        yield SampleFace(person, image, code, analysis.second(analysis.pts[frame]))


def sample_transforms(analysis: Analysis, edits: Sequence[ResolvedEdit], size: int) -> dict[tuple[int, int], Array]:
    """(frame, person) of each sample -> its transform [2,3] for a crop of `size` pixels."""
    found = {}
    for edit in (resolved.edit for resolved in edits if resolved.edit.target is not None):
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


def _build_inverter(models: Models, config: RunConfig) -> Callable[[Tensor, int], Code]:
    refine = None if config.refine.is_off else backends.refiner(models, config.precision)

    def invert(image: Tensor, person: int) -> Code:
        with torch.no_grad():
            code = models.encoder(image.to(models.device))
        if refine is None:
            return code
        return refine(code, image.to(models.device), None, config.refine.first, person)[0]

    return invert


def load_or_solve(
    path: Path, edits: Sequence[ResolvedEdit], find: Callable[[], tuple[list[ResolvedEdit], list[str]]]
) -> tuple[list[ResolvedEdit], list[str]]:
    """Return what `find` returns, stored at `path`, so that a resumed job has the same strengths."""
    try:
        known = fileio.record_of(_SolvedStrengths, fileio.parse_json(fileio.read_sealed(path) or b""))
        pairs = zip(edits, known.found, strict=True)
        return [ResolvedEdit(resolved.direction, replace(resolved.edit, **vars(at))) for resolved, at in pairs], list(
            known.warnings
        )
    except ValueError:  # it is missing or damaged, or belongs to other edits
        found, warnings = find()
    strengths = [_SolvedStrength(each.edit.strength, each.edit.reached, each.edit.is_lost) for each in found]
    fileio.write_sealed(path, json.dumps(asdict(_SolvedStrengths(tuple(strengths), tuple(warnings)))).encode())
    return found, warnings


@dataclass(frozen=True)
class _SolvedStrength:
    """What is solved of one edit; the fields are those of `Edit`."""

    strength: float
    reached: float | None
    is_lost: bool


@dataclass(frozen=True)
class _SolvedStrengths:
    """What a job keeps of its solved edits."""

    found: tuple[_SolvedStrength, ...]
    warnings: tuple[str, ...]
