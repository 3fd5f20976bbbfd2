"""`vidinv directions import`: import a direction published by another tool."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidinv.cli import json_target, options, progress
from vidinv.errors import UsageError
from vidinv.terminal import print_line

if TYPE_CHECKING:
    from vidinv.backends.interface import Backend
    from vidinv.editing.directions import Direction
    from vidinv.editing.published import File
    from vidinv.editing.spaces import Space
    from vidinv.progress import ProgressDisplay

UNKNOWN_LICENCE = "not stated: the terms of the file's author and of its generator"
SAMPLES, TRIALS, SEED = 60, 12, 11  # faces on which a direction is measured


def import_direction(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A .npy or torch file of directions.")],
    name: Annotated[str | None, typer.Option("--as", metavar="NAME", help="Default: the file's name.")] = None,
    kind: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="fse|stit|e4e|interfacegan|ganspace|sefa.")
    ] = None,
    space: Annotated[str | None, typer.Option(metavar="SPACE", help="Latent space. Default: by its shape.")] = None,
    component: Annotated[
        int | None, typer.Option(metavar="N", help="Index in a file of several directions, from 0.", min=0)
    ] = None,
    rows: Annotated[str | None, typer.Option(metavar="FIRST-LAST", help="Rows of w+. Default: the file's.")] = None,
    attribute: Annotated[
        str | None, typer.Option(metavar="NAME", help="The attribute it changes, to be measured with its side effects.")
    ] = None,
    region: Annotated[str, typer.Option(metavar="NAME", help="Region to edit: face, head, hair, mouth, ...")] = "face",
    licence: Annotated[str, typer.Option(metavar="TEXT", help="Licence terms.")] = UNKNOWN_LICENCE,
    json_to: options.JsonTo = None,
    device: options.Device = None,
    progress_as: options.Show = None,
    quiet: options.Quiet = False,
    *,
    common: options.Making,
) -> None:
    """Import a direction of FSE, STIT, e4e, InterFaceGAN, GANSpace or SeFa, calibrated to vidinv's strength 1.

    Example: vidinv directions import age.npy --as older --space mobile-stylegan-ffhq-w --attribute age
    """
    from vidinv.backends import registry as backends
    from vidinv.editing import directions, published, spaces
    from vidinv.faces.regions import REGIONS
    from vidinv.generators import generator_file, registry
    from vidinv.jobs import request as requests

    chosen = backends.choose_backend(common.backend)
    if region not in REGIONS:
        raise UsageError(f"unknown --region {region!r}", remedy=f"choose one of {', '.join(REGIONS)}")
    named = name or _name_of(path, component)
    file = published.read_arrays(path)
    found = published.format_of(file, kind)
    step = published.step(file, found, component)
    own = spaces.Space(chosen.space, chosen.slots, chosen.dim, chosen.generator)
    of = _space(file, tuple(step.shape), space, own)
    is_here = of.name == own.name
    if attribute is not None and (not is_here or attribute not in chosen.measures):
        known = (
            f"measured attributes: {', '.join(chosen.measures)}"
            if is_here
            else f"its generator {of.generator} is not available"
        )
        raise UsageError(f"--attribute {attribute} cannot be measured", remedy=f"remove it; {known}")
    target = directions.new_direction_path(named, of.name, common.out, overwrite=common.overwrite)
    which = "" if component is None else f", component {component}"
    facts = directions.Imported(
        format=found,
        shape=", ".join("x".join(map(str, array.shape)) for array in file.arrays.values()),
        native=0.0,
        is_measured=False,
        generator=of.generator,
        sign=published.FORMATS[found].sign,
        sha256=file.digest,
    )
    made = directions.of_step(
        named, spaces.step_in_space(step, of), of.name, options.rows(rows, "--rows", of.rows), facts
    )
    made = replace(made, region=region, origin=f"imported from {path.name} ({found}{which})", licence=licence)
    if is_here:
        where = requests.pick_device(device or "auto")
        common.have(chosen.needs + (chosen.measuring if attribute else ()))
        with progress.show(progress_as, quiet=quiet) as shown:
            made = _measured(made, chosen, where, attribute, shown)
    elif of.generator in generator_file.names():
        made = directions.rescale_imported(made, registry.load_generator(of.generator))
    directions.save_direction(made, target, overwrite=common.overwrite)
    if json_to is not None:
        json_target.write_json(directions.facts(made), json_to)
    if json_to != "-":
        related = spaces.shared_by(tuple(step.shape), own) if space is None else None
        print_line(f"made {target}: {_told(made, of)}{'' if related is None else _shared_note(related, own)}")


def _shared_note(related: Space, own: Space) -> str:
    return f"; taken as one of {related.name}, whose W {own.generator} shares (give --space if it belongs elsewhere)"


def _name_of(path: Path, component: int | None) -> str:
    """Return a direction name derived from the file name."""
    stem = re.sub(r"[^A-Za-z0-9_]+", "_", path.stem).strip("_")
    return stem if component is None else f"{stem}.{component}"


def _space(file: File, shape: tuple[int, ...], asked: str | None, own: Space) -> Space:
    """Return the space of a step of this shape: the requested one, or the one that it fits."""
    from vidinv.editing import spaces

    if asked is not None:
        return spaces.find_by_name(asked, own)
    known = ", ".join(map(str, spaces.user_spaces(own)))
    if spaces.shared_by(shape, own) is not None:
        return own
    if len(shape) == 1:
        raise UsageError(f"{file} does not name its generator", remedy=f"give --space, one of {known}")
    found = spaces.find_by_shape(shape[0], shape[1], own)
    if found is None:
        told = "x".join(map(str, shape))
        raise UsageError(f"{file} is of {told} numbers, which fits no latent space here", remedy=f"known are {known}")
    return found


def _measured(
    direction: Direction, backend: Backend, device: str, attribute: str | None, shown: ProgressDisplay
) -> Direction:
    """Return the direction calibrated to our strength 1, with its measured effect on `attribute` and the others."""
    from vidinv.backends import registry as backends
    from vidinv.editing import direction_training, directions
    from vidinv.faces.attribute_meter import UNITS
    from vidinv.generators import registry

    if attribute is None:
        return directions.rescale_imported(direction, registry.load_generator(backend.generator))
    studio = backends.render_context(backend.models(device, ""))
    direction = directions.rescale_imported(direction, studio.generator)
    shown.phase("faces", SAMPLES)
    readings = direction_training.measure_samples(
        studio, direction_training.samples(studio.generator, SAMPLES, SEED), shown.advance
    )
    shown.phase("calibration", 0)
    fresh, spreads = (
        direction_training.samples(studio.generator, TRIALS, SEED + 1),
        direction_training.spreads_of(readings),
    )
    found = direction_training.calibrate(direction, UNITS[attribute], studio, fresh, spreads, attribute)
    (change,) = found.calibration.values()
    assert found.imported is not None
    sign = f"{'+' if change > 0 else '-'} raises {attribute}, as measured"
    return replace(found, imported=replace(found.imported, sign=sign))


def _told(direction: Direction, space: Space) -> str:
    """Describe an imported direction in one line."""
    imported = direction.imported
    assert imported is not None
    own = f"{direction.deviation / imported.native:.3g} of the file's own"
    unmeasured = f"the file's own, as {imported.generator} is not available for a measurement"
    effect = "".join(f", {change:+.3g} {unit}" for unit, change in direction.calibration.items())
    first, last = direction.layers
    strength = own if imported.is_measured else unmeasured
    return (
        f"{imported.format} of {space}, rows {first}-{last - 1}; "
        f"strength 1 is {strength}{effect}; sign: {imported.sign}"
    )
