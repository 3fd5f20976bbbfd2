"""`vidinv directions learn`: from a score of faces to a direction that edits."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidinv.cli import options, progress
from vidinv.errors import UsageError

if TYPE_CHECKING:
    from stages.parts import Backend
    from vidinv.editing.lesson import Measure

METHODS = ("ridge", "boundary", "difference")


def learn(
    attribute: Annotated[str, typer.Option("--attribute", metavar="NAME", help="What the direction raises.")],
    scorer: Annotated[
        str | None,
        typer.Option(metavar="MODULE:FUNCTION", help="Your own: pictures [N,3,S,S] in [-1,1] -> N numbers."),
    ] = None,
    unit: Annotated[str | None, typer.Option(help="What your scorer counts, for the calibration.")] = None,
    method: Annotated[str, typer.Option(metavar="|".join(METHODS), help="How it is fitted.")] = "boundary",
    free_of: Annotated[
        list[str] | None, typer.Option("--free-of", metavar="NAME", help="An attribute to leave alone; repeatable.")
    ] = None,
    rows: Annotated[str | None, typer.Option(metavar="FIRST-LAST", help="Rows of w+; chosen if not given.")] = None,
    samples: Annotated[int, typer.Option(help="Faces that are drawn and measured.", min=20)] = 1500,
    trials: Annotated[int, typer.Option(help="Faces that rows and calibration are measured on.", min=2)] = 12,
    seed: Annotated[int, typer.Option(help="Which faces.")] = 11,
    region: Annotated[str, typer.Option(metavar="NAME", help="Where it shows: face, head, hair, mouth, ...")] = "face",
    device: options.Device = None,
    progress_as: options.Show = None,
    *,
    common: options.Making,
) -> None:
    """Learn a direction from the generator's own faces and a score of each, calibrate it, and keep it for edits.

    Example: vidinv directions learn --attribute tan --scorer mine:skin_tone --unit luma --free-of age
    """
    from stages import parts
    from stages import request as requests
    from vidinv.editing import directions, lesson
    from vidinv.faces.meter import UNITS
    from vidinv.faces.regions import REGIONS

    chosen = parts.choose(common.backend)
    if method not in METHODS:
        raise UsageError(f"--method {method!r} is not known", remedy=f"choose one of {', '.join(METHODS)}")
    own = None if scorer is None else _function(scorer)
    known = sorted({*chosen.measures, *([attribute] if own else [])})
    for name in (attribute, *(free_of or [])):
        if name not in known:
            raise UsageError(
                f"nothing here measures {name!r}", remedy=f"known are {', '.join(known)}; or give --scorer"
            )
    if attribute in (free_of or []):
        raise UsageError(f"{attribute} cannot be free of itself", remedy="leave that --free-of out")
    if region not in REGIONS:
        raise UsageError(f"--region {region!r} is not known", remedy=f"choose one of {', '.join(REGIONS)}")
    path = directions.place(attribute, chosen.space, common.out, overwrite=common.overwrite)
    wanted = lesson.Lesson(
        attribute,
        unit or UNITS.get(attribute, "score"),
        method,
        tuple(free_of or ()),
        options.rows(rows, "--rows", chosen.slots),
        region,
    )
    where = requests.pick_device(device or "auto")
    common.have(chosen.needs + chosen.measuring)
    studio = parts.studio(chosen, where, _measure(chosen, attribute, own))
    with progress.show(progress_as) as shown:
        shown.phase("faces", samples)
        readings = lesson.read(studio, lesson.samples(studio.generator, samples, seed), shown.done)
        known_spreads = lesson.spreads_of(readings)
        if attribute not in known_spreads:
            raise UsageError(f"{attribute} is the same on all {samples} faces", remedy="choose another scorer")
        wanted = replace(wanted, free_of=tuple(name for name in wanted.free_of if name in known_spreads))
        shown.phase("calibration", 0)
        fresh = lesson.samples(studio.generator, trials, seed + 1)
        direction = lesson.learned(wanted, {}, readings, studio, fresh)
        ((of, change),) = direction.calibration.items()
        if not change > 0:
            raise UsageError(
                f"{attribute} does not rise along what was found ({change:+.3g} {of})",
                remedy="give more --samples, fewer --free-of, or another --method",
            )
        told = f"{direction.origin}, seed {seed}" + (f", scored by {scorer}" if scorer else "")
        directions.save(replace(direction, origin=told, licence=options.LICENCE), path)
        first, last = direction.layers
        shown.say(f"made {path}: {attribute}+1 is {change:+.3g} {of}, rows {first}-{last - 1}")


def _function(where: str) -> Callable[[Any], Any]:
    """The function that MODULE:FUNCTION names."""
    module, _, name = where.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # a module beside the user, also where vidinv is a console script
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever the user's own module raises
        raise UsageError(f"--scorer {where!r} cannot be imported: {error}", remedy="write MODULE:FUNCTION") from error
    if not callable(found):
        raise UsageError(f"--scorer {where!r} is no function", remedy="write MODULE:FUNCTION")
    return found


def _measure(backend: Backend, attribute: str, own: Callable[[Any], Any] | None) -> Measure:
    """The backend's measures, with the user's own among them."""
    import numpy as np

    known = backend.measure()
    if own is None:
        return known

    def measure(pictures: Any) -> dict[str, Any]:
        try:
            score = np.asarray(own(pictures), dtype=np.float32)
        except Exception as error:  # whatever the user's own function raises
            what = f"--scorer failed: {type(error).__name__}: {error}"
            raise UsageError(what, remedy="pictures [N,3,S,S] in [-1,1] go in, N numbers come out") from error
        if score.shape != (len(pictures),):
            raise UsageError(f"--scorer gave {score.shape} for {len(pictures)} pictures", remedy="return one of each")
        return {**known(pictures), attribute: score}

    return measure
