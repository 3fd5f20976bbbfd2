"""`vidinv directions`: what can be edited, what it looks like, and how to learn more."""

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
    from stages.parts import Backend
    from vidinv.editing.lesson import Measure

app = typer.Typer(help="The directions of the latent space: list, show, learn, find.", no_args_is_help=True)
Name = Annotated[str, typer.Option(metavar="NAME", help="Generator and encoder.")]
LICENCE = "yours, as far as the labels' and the generator's terms allow (the default parts: non-commercial)"
METHODS = ("ridge", "boundary", "difference")


@dataclass(frozen=True)
class Making:
    """What every command that makes directions takes: where they go, and where the networks come from."""

    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Default: beside the weights.")] = None
    overwrite: options.Overwrite = False
    backend: Name = "default"
    offline: options.Offline = False
    accept_licences: options.AcceptLicences = False
    debug: options.Debug = False

    def have(self, needs: tuple[str, ...]) -> None:
        """Have these parts in the cache."""
        from vidinv.weights import cache

        cache.need(needs, offline=self.offline, accept=self.accept_licences)


@app.callback()
def _group() -> None:
    """The directions of the latent space."""


@app.command("list")
def list_directions(json_to: options.JsonTo = None, backend: Name = "default") -> None:
    """Show every direction, what strength 1 does, and how it is blended.

    Example: vidinv directions list --json -
    """
    from stages import parts
    from vidinv.editing import directions

    space = parts.choose(backend).space
    found = [directions.load(name, space) for name in directions.names(space)]
    rows = [
        {
            "name": entry.name,
            "space": entry.space,
            "kind": entry.kind,
            "blend": entry.blend,
            "layers": list(entry.layers),
            "region": entry.region,
            "calibration": entry.calibration,
            "leak": entry.leak,
            "kept": entry.kept,
            "origin": entry.origin,
            "licence": entry.licence,
        }
        for entry in found
    ]
    if json_to is not None:
        options.write_json(rows, json_to)
        return
    for entry in found:
        effect = ", ".join(f"{value:+.3g} {unit}" for unit, value in entry.calibration.items())
        kept = f"; ArcFace {entry.kept['+1']:.2f} at +1" if "+1" in entry.kept else ""
        typer.echo(f"{entry.name:<15} {entry.region:<6} {entry.blend:<9} strength 1: {effect or 'not measured'}{kept}")


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The direction.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="PNG", help="The strip.")],
    people: Annotated[int, typer.Option(help="Synthetic people, a row each.", min=1, max=12)] = 3,
    seed: Annotated[int, typer.Option(help="Which people.")] = 5,
    overwrite: options.Overwrite = False,
    backend: Name = "default",
    device: options.Device = None,
    offline: options.Offline = False,
    accept_licences: options.AcceptLicences = False,
    debug: options.Debug = False,
) -> None:
    """Draw a direction from strength -3 to +3 on people who do not exist.

    Example: vidinv directions show smile -o smile.png
    """
    from stages import parts, strip
    from stages import request as requests
    from stages.folder import check_output
    from vidinv.media import photo
    from vidinv.weights import cache

    photo.check_suffix(output)
    check_output(output, output.parent, overwrite)
    chosen = parts.choose(backend)
    direction = chosen.direction(name)
    cache.need(chosen.needs, offline=offline, accept=accept_licences)
    models = chosen.models(requests.pick_device(device or "auto"), "")
    photo.write(output, photo.Photo(strip.draw(models, direction, people, seed)), {"vidinv_direction": name})
    typer.echo(f"made {output}: {name} at {', '.join(f'{s:+g}' for s in strip.STRENGTHS)}")


@app.command("learn")
@options.grouped
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
    common: Making,
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
    common.have(chosen.all_needs)
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
        directions.save(replace(direction, origin=told, licence=LICENCE), path)
        first, last = direction.layers
        shown.say(f"made {path}: {attribute}+1 is {change:+.3g} {of}, rows {first}-{last - 1}")


@app.command("find")
@options.grouped
def find(
    method: Annotated[
        str, typer.Option(metavar="sefa|ganspace", help="SeFa's closed form, or components of w.")
    ] = "sefa",
    count: Annotated[int, typer.Option(help="How many, the strongest first.", min=1, max=32)] = 5,
    rows: Annotated[str | None, typer.Option(metavar="FIRST-LAST", help="Rows of w+; all if not given.")] = None,
    *,
    common: Making,
) -> None:
    """Find directions that nobody labelled: sefa.1, sefa.2, ... Look at them with `directions show`.

    Example: vidinv directions find --method sefa --rows 0-5 --count 8
    """
    from stages import parts
    from vidinv.editing import directions, unsupervised
    from vidinv.generators import registry

    if method not in ("sefa", "ganspace"):
        raise UsageError(f"--method {method!r} is not known", remedy="choose one of sefa, ganspace")
    chosen = parts.choose(common.backend)
    where = options.rows(rows, "--rows", chosen.slots) or (0, chosen.slots)
    names = [f"{method}.{number}" for number in range(1, count + 1)]
    paths = [directions.place(name, chosen.space, common.out, overwrite=common.overwrite) for name in names]
    common.have(chosen.needs)
    generator = registry.load(chosen.generator)
    by_rows = method == "sefa"
    found = unsupervised.sefa(generator, where, count) if by_rows else unsupervised.ganspace(generator, count)
    for path, vector in zip(paths, found, strict=True):
        number = path.stem.rpartition(".")[2]
        made = directions.of_vector(path.stem, vector, where, generator, origin=f"{method}, component {number}")
        typer.echo(f"made {directions.save(replace(made, licence=LICENCE), path)}")


@app.command("from-pictures")
@options.grouped
def from_pictures(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it.")],
    having: Annotated[list[Path], typer.Option("--with", metavar="PATH", help="Pictures, or folders, that have it.")],
    lacking: Annotated[list[Path], typer.Option("--without", metavar="PATH", help="And that have it not.")],
    rows: Annotated[str | None, typer.Option(metavar="FIRST-LAST", help="Rows of w+; all if not given.")] = None,
    device: options.Device = None,
    *,
    common: Making,
) -> None:
    """Learn a direction from a few of your own pictures: the difference of their mean codes.

    Example: vidinv directions from-pictures frown --with frowning/ --without calm/ --rows 4-9
    """
    from stages import exemplars, parts
    from stages import request as requests
    from vidinv.editing import directions, unsupervised

    chosen = parts.choose(common.backend)
    path = directions.place(name, chosen.space, common.out, overwrite=common.overwrite)
    where = options.rows(rows, "--rows", chosen.slots) or (0, chosen.slots)
    listed = [exemplars.files(paths) for paths in (having, lacking)]
    on = requests.pick_device(device or "auto")
    common.have(chosen.needs)
    models = chosen.models(on, "")
    codes = [exemplars.codes(paths, chosen, models) for paths in listed]
    vector = unsupervised.exemplars(*codes)
    told = f"mean difference of {len(codes[0])} and {len(codes[1])} pictures"
    made = directions.of_vector(name, vector, where, models.generator, origin=told)
    typer.echo(f"made {directions.save(replace(made, licence=LICENCE), path)}: {told}")


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
