"""`vidinv directions learn`: learn a direction from scored faces."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidinv.cli import options, progress
from vidinv.errors import UsageError

if TYPE_CHECKING:
    from vidinv.backends.interface import Backend, Models
    from vidinv.editing.direction_training import Lesson, Measure, MeasuredSamples, RenderContext
    from vidinv.editing.directions import Direction
    from vidinv.editing.scores import Scores
    from vidinv.jobs.directions.training_set import TrainingSet
    from vidinv.progress import ProgressDisplay

METHODS = ("ridge", "boundary", "difference")
CHANNELS = 10  # default number of style channels
SAMPLES = 1500  # default number of faces
FEWEST = 10  # minimum number of scored faces


def learn(
    attribute: Annotated[
        str, typer.Option("--attribute", metavar="NAME", help="The attribute that the direction increases.")
    ],
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Name of the direction. Default: the attribute's.")
    ] = None,
    scorer: Annotated[
        str | None,
        typer.Option(metavar="MODULE:FUNCTION", help="Your own scorer: pictures (N,3,S,S) in [-1,1] -> N numbers."),
    ] = None,
    unit: Annotated[str | None, typer.Option(help="Unit of your scorer, for the calibration.")] = None,
    method: Annotated[str, typer.Option(metavar="|".join(METHODS), help="Method of fitting.")] = "boundary",
    free_of: Annotated[
        list[str] | None, typer.Option("--free-of", metavar="NAME", help="An attribute to keep unchanged; repeatable.")
    ] = None,
    rows: Annotated[
        str | None, typer.Option(metavar="FIRST-LAST", help="Rows of w+. Default: chosen by measurement.")
    ] = None,
    scores: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Existing scores: columns seed or file, and the attribute.")
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Learn from the encoder's codes of these pictures.")
    ] = None,
    samples: Annotated[int | None, typer.Option(help=f"Number of sampled faces. Default: {SAMPLES}.", min=20)] = None,
    style: Annotated[bool, typer.Option("--style", help="Learn single style channels instead of w.")] = False,
    channels: Annotated[
        int | None, typer.Option(metavar="N", help=f"Number of style channels for --style. Default: {CHANNELS}.", min=1)
    ] = None,
    trials: Annotated[
        int, typer.Option(help="Number of faces for the choice of rows and the calibration.", min=2)
    ] = 12,
    seed: Annotated[int, typer.Option(help="Seed of the faces.")] = 11,
    region: Annotated[str, typer.Option(metavar="NAME", help="Region to edit: face, head, hair, mouth, ...")] = "face",
    device: options.Device = None,
    progress_as: options.Show = None,
    quiet: options.Quiet = False,
    *,
    common: options.Making,
) -> None:
    """Learn a direction from scored faces, calibrate it, and store it for edits.

    The faces are the generator's samples (`directions faces` renders them by seed), or photos.

    Example: vidinv directions learn --attribute tan --scorer mine:skin_tone --unit luma --free-of age
    """
    from vidinv.backends import registry as backends
    from vidinv.editing import direction_training, directions, stylespace
    from vidinv.editing import scores as tables
    from vidinv.faces.attribute_meter import UNITS
    from vidinv.faces.regions import REGIONS
    from vidinv.jobs import request as requests

    chosen = backends.choose_backend(common.backend)
    if method not in METHODS:
        raise UsageError(f"unknown --method {method!r}", remedy=f"choose one of {', '.join(METHODS)}")
    own = None if scorer is None else _function(scorer)
    _check_known(attribute, free_of or [], chosen, own is not None or scores is not None)
    if region not in REGIONS:
        raise UsageError(f"unknown --region {region!r}", remedy=f"choose one of {', '.join(REGIONS)}")
    if style and (rows is not None or free_of):
        remedy = "remove them: --style selects channels with small side effects"
        raise UsageError("--rows and --free-of apply to w, not to --style", remedy=remedy)
    if channels is not None and not style:
        raise UsageError("--channels needs --style", remedy="give both, or neither")
    path = directions.new_direction_path(name or attribute, chosen.space, common.out, overwrite=common.overwrite)
    wanted = direction_training.Lesson(
        attribute,
        (unit if own else None) or UNITS.get(attribute, "score"),
        method,
        tuple(free_of or ()),
        options.rows(rows, "--rows", chosen.slots),
        region,
    )
    table = None if scores is None else tables.read_scores(scores, attribute, photos)
    source = LearningSource(attribute, table, photos, samples, seed)
    source.check()
    where = requests.pick_device(device or "auto")
    common.have(chosen.needs + chosen.measuring)
    models = chosen.models(where, "")
    studio = backends.render_context(models, _measure(chosen, attribute, own))
    with progress.show(progress_as, quiet=quiet) as shown:
        found = source.material(chosen, models, studio, shown)
        wanted = _possible(wanted, found.readings)
        fresh = direction_training.samples(studio.generator, trials, seed + 1)
        if style:
            shown.phase("channels", (channels or CHANNELS) * stylespace.PROPOSED)
            count = channels or CHANNELS
            direction = stylespace.learn_style_direction(wanted, found.readings, studio, fresh, count, shown.advance)
            how = direction.origin
        else:
            shown.phase("calibration", 0)
            direction, how = direction_training.learn_direction(wanted, {}, found.readings, studio, fresh), method
        _check_rises(direction)
        told = f"{found.description}, {how}" + "".join(
            f", scored by {by}" for by in (scorer, scores and scores.name) if by
        )
        direction = replace(direction, name=name or attribute, origin=told, licence=options.LICENCE)
        directions.save_direction(direction, path, overwrite=common.overwrite)
        shown.say(f"made {path}: {_told(direction)}")


@dataclass(frozen=True)
class LearningSource:
    """Faces that a direction is learned from: those of a score table, a folder's photos, or samples."""

    attribute: str
    table: Scores | None
    photos: Path | None
    samples: int | None
    seed: int

    def check(self) -> None:
        """Raise UsageError for contradictory options, InputUnreadable for a folder without pictures."""
        if self.samples is not None and (self.table is not None or self.photos is not None):
            raise UsageError("--samples applies to sampled faces only", remedy="remove it, or --scores and --photos")
        if self.table is not None and self.table.seeds and self.photos is not None:
            raise UsageError("the scores belong to seeds, not to --photos", remedy="remove one, or add a column file")
        self._pictures()

    def material(self, backend: Backend, models: Models, studio: RenderContext, shown: ProgressDisplay) -> TrainingSet:
        """Measure the faces and return the training material."""
        from vidinv.jobs.directions import training_set

        if files := self._pictures():
            known = None if self.table is None else {self.attribute: self.table.values}
            shown.phase("photos", len(files))
            found = training_set.from_photos(files, backend, models, studio.measure, shown.advance, known)
            if found.left_out:
                shown.say(f"{len(found.left_out)} of {len(files)} pictures left out, the first: {found.left_out[0]}")
            return found
        if self.table is not None:
            shown.phase("faces", len(self.table.seeds))
            return training_set.from_seeds(studio, self.attribute, self.table, shown.advance)
        shown.phase("faces", self.samples or SAMPLES)
        return training_set.from_samples(studio, self.samples or SAMPLES, self.seed, shown.advance)

    def _pictures(self) -> list[Path]:
        """Return the pictures to invert, in order; empty if faces are sampled."""
        from vidinv.jobs.directions import example_codes

        if self.table is not None and self.table.files:
            return list(self.table.files)
        return [] if self.photos is None else example_codes.find_pictures([self.photos])


def _check_known(attribute: str, free_of: list[str], backend: Backend, is_scored: bool) -> None:
    """Raise UsageError for an attribute without scores."""
    known = sorted({*backend.measures, *([attribute] if is_scored else [])})
    for name in (attribute, *free_of):
        if name not in known:
            remedy = f"measured attributes: {', '.join(known)}; or give --scorer or --scores"
            raise UsageError(f"no network measures {name!r}", remedy=remedy)
    if attribute in free_of:
        raise UsageError(f"{attribute} cannot be free of itself", remedy="remove that --free-of")


def _possible(wanted: Lesson, readings: MeasuredSamples) -> Lesson:
    """Return the lesson without constant attributes. Raises UsageError if its own scores are unusable."""
    from vidinv.editing import direction_training

    score = readings.known(wanted.name).scores[wanted.name]
    known = direction_training.spreads_of(readings)
    if len(score) < FEWEST:
        raise UsageError(f"{len(score)} faces have a score of {wanted.name}", remedy=f"give at least {FEWEST}")
    if wanted.name not in known:
        raise UsageError(f"{wanted.name} is the same on all {len(score)} faces", remedy="choose another scorer")
    if wanted.method == "difference" and not 0 < int((score > 0.5).sum()) < len(score):
        remedy = "scores above 0.5 mean that a face has it; or choose another --method"
        raise UsageError(f"all {len(score)} faces, or none, have {wanted.name}", remedy=remedy)
    return replace(wanted, free_of=tuple(name for name in wanted.free_of if name in known))


def _check_rises(direction: Direction) -> None:
    for unit, change in direction.calibration.items():
        if not change > 0:
            raise UsageError(
                f"{direction.name} does not increase along the learned direction ({change:+.3g} {unit})",
                remedy="give more faces, fewer --free-of, or another --method",
            )


def _told(direction: Direction) -> str:
    """Describe the learned direction in one line."""
    effect = [f"{change:+.3g} {unit}" for unit, change in direction.calibration.items()]
    first, last = direction.layers
    where = f"{len(direction.channels)} style channels" if direction.is_style else f"rows {first}-{last - 1}"
    return f"{direction.name}+1 is {', '.join(effect) or 'not measured (no scorer)'}, {where}"


def _function(where: str) -> Callable[[Any], Any]:
    """Import the function named by MODULE:FUNCTION. Raises UsageError."""
    module, _, name = where.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # modules of the current folder, which a console script lacks
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # the user's module can raise anything
        raise UsageError(f"--scorer {where!r} cannot be imported: {error}", remedy="write MODULE:FUNCTION") from error
    if not callable(found):
        raise UsageError(f"--scorer {where!r} is not a function", remedy="write MODULE:FUNCTION")
    return found


def _measure(backend: Backend, attribute: str, own: Callable[[Any], Any] | None) -> Measure:
    """Return the backend's measures extended by the user's scorer."""
    import numpy as np

    known = backend.measure()
    if own is None:
        return known

    def measure(pictures: Any) -> dict[str, Any]:
        try:
            score = np.asarray(own(pictures), dtype=np.float32)
        except Exception as error:  # the user's function can raise anything
            what = f"--scorer failed: {type(error).__name__}: {error}"
            raise UsageError(what, remedy="it takes pictures [N,3,S,S] in [-1,1] and returns N numbers") from error
        if score.shape != (len(pictures),):
            raise UsageError(
                f"--scorer gave {score.shape} for {len(pictures)} pictures", remedy="return one score per picture"
            )
        return {**known(pictures), attribute: score}

    return measure
