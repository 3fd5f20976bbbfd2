"""`vidinv directions`: list, show, find and learn directions of the latent space."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from vidinv import fileio
from vidinv.cli import direction_import, json_target, learn, options, progress
from vidinv.errors import UsageError
from vidinv.terminal import print_line

app = typer.Typer(help="List, show, learn, find and import directions of the latent space.", no_args_is_help=True)
app.command("learn")(options.grouped(learn.learn))
app.command("import")(options.grouped(direction_import.import_direction))


@app.callback()
def _group() -> None:
    """The directions of the latent space."""


@app.command("list")
def list_directions(json_to: options.JsonTo = None, backend: options.Name = "default") -> None:
    """List every direction with the effect of strength 1 and its blend mode.

    Example: vidinv directions list --json -
    """
    from vidinv.backends import registry as backends
    from vidinv.editing import directions

    space = backends.choose_backend(backend).space
    found = [directions.load_direction(name, space) for name in directions.names(space)]
    if json_to is not None:
        json_target.write_json([directions.facts(entry) for entry in found], json_to)
        return
    for entry in found:
        effect = ", ".join(f"{value:+.3g} {unit}" for unit, value in entry.calibration.items())
        if entry.imported is not None and not effect:
            effect = f"{entry.deviation / entry.imported.native:.3g} of its file's own"
        kept = f"; ArcFace {entry.kept['+1']:.2f} at +1" if "+1" in entry.kept else ""
        print_line(f"{entry.name:<15} {entry.region:<6} {entry.blend:<9} strength 1: {effect or 'not measured'}{kept}")
    for name, of in directions.names_of_other_spaces(space).items():
        print_line(f"{name:<15} of {of}, which belongs to another generator")


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The direction.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="PNG", help="The picture strip to write.")],
    people: Annotated[int, typer.Option(help="Number of synthetic people, one row each.", min=1, max=12)] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the people.")] = 5,
    overwrite: options.Overwrite = False,
    backend: options.Name = "default",
    device: options.Device = None,
    offline: options.Offline = False,
    accept_licences: options.AcceptLicences = False,
    debug: options.Debug = False,
) -> None:
    """Render a direction from strength -3 to +3 on synthetic people.

    Example: vidinv directions show smile -o smile.png
    """
    from vidinv.backends import registry as backends
    from vidinv.jobs import request as requests
    from vidinv.jobs.directions import preview
    from vidinv.jobs.exclusive_outputs import check_output
    from vidinv.media import photo
    from vidinv.weights import cache

    photo.check_suffix(output)
    check_output(output, output.parent, overwrite=overwrite)
    chosen = backends.choose_backend(backend)
    direction = chosen.direction(name)
    cache.need(chosen.needs, offline=offline, accept=accept_licences)
    models = chosen.models(requests.pick_device(device or "auto"), "")
    strip = photo.Photo(preview.draw_direction(models, direction, people, seed))
    photo.write_photo(output, strip, {"vidinv_direction": name}, overwrite=overwrite)
    print_line(f"made {output}: {name} at {', '.join(f'{s:+g}' for s in preview.STRENGTHS)}")


@app.command("faces")
def faces(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="A new folder.")],
    count: Annotated[int, typer.Option(help="Number of faces.", min=1)] = 200,
    first: Annotated[int, typer.Option(help="Seed of the first face.", min=0)] = 0,
    backend: options.Name = "default",
    device: options.Device = None,
    offline: options.Offline = False,
    accept_licences: options.AcceptLicences = False,
    show_as: options.Show = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Render synthetic faces by seed for manual scoring: add a score column to faces.csv and learn from it.

    Example: vidinv directions faces -o faces --count 300
    """
    from vidinv.backends import registry as backends
    from vidinv.jobs import request as requests
    from vidinv.jobs.directions import preview
    from vidinv.weights import cache

    fileio.check_free(output, remedy="choose a new folder")
    chosen = backends.choose_backend(backend)
    where = requests.pick_device(device or "auto")
    cache.need(chosen.needs, offline=offline, accept=accept_licences)
    with progress.show(show_as, quiet=quiet) as shown:
        shown.phase("faces", count)
        preview.write_faces(output, chosen.models(where, ""), range(first, first + count), shown.advance)
    print_line(f"made {output}: add a score column to its faces.csv and learn from it with --scores")


@app.command("find")
@options.grouped
def find(
    method: Annotated[
        str, typer.Option(metavar="sefa|ganspace", help="SeFa's closed form, or components of w.")
    ] = "sefa",
    count: Annotated[int, typer.Option(help="Number of directions, strongest first.", min=1, max=32)] = 5,
    rows: Annotated[str | None, typer.Option(metavar="FIRST-LAST", help="Rows of w+. Default: all.")] = None,
    *,
    common: options.Making,
) -> None:
    """Find unsupervised directions: sefa.1, sefa.2, ... View them with `directions show`.

    Example: vidinv directions find --method sefa --rows 0-5 --count 8
    """
    from vidinv.backends import registry as backends
    from vidinv.editing import directions, unsupervised
    from vidinv.generators import registry

    if method not in ("sefa", "ganspace"):
        raise UsageError(f"unknown --method {method!r}", remedy="choose one of sefa, ganspace")
    chosen = backends.choose_backend(common.backend)
    where = options.rows(rows, "--rows", chosen.slots) or (0, chosen.slots)
    names = [f"{method}.{number}" for number in range(1, count + 1)]
    paths = [
        directions.new_direction_path(name, chosen.space, common.out, overwrite=common.overwrite) for name in names
    ]
    common.have(chosen.needs)
    generator = registry.load_generator(chosen.generator)
    by_rows = method == "sefa"
    found = unsupervised.sefa(generator, where, count) if by_rows else unsupervised.ganspace(generator, count)
    for path, vector in zip(paths, found, strict=True):
        number = path.stem.rpartition(".")[2]
        made = directions.of_vector(path.stem, vector, where, generator, origin=f"{method}, component {number}")
        made = replace(made, licence=options.LICENCE)
        print_line(f"made {directions.save_direction(made, path, overwrite=common.overwrite)}")


@app.command("from-pictures")
@options.grouped
def from_pictures(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the direction.")],
    having: Annotated[
        list[Path], typer.Option("--with", metavar="PATH", help="Pictures or folders with the attribute.")
    ],
    lacking: Annotated[list[Path], typer.Option("--without", metavar="PATH", help="Pictures or folders without it.")],
    rows: Annotated[str | None, typer.Option(metavar="FIRST-LAST", help="Rows of w+. Default: all.")] = None,
    device: options.Device = None,
    *,
    common: options.Making,
) -> None:
    """Learn a direction from a few of your own pictures: the difference of their mean codes.

    Example: vidinv directions from-pictures frown --with frowning/ --without calm/ --rows 4-9
    """
    from vidinv.backends import registry as backends
    from vidinv.editing import directions, unsupervised
    from vidinv.jobs import request as requests
    from vidinv.jobs.directions import example_codes

    chosen = backends.choose_backend(common.backend)
    path = directions.new_direction_path(name, chosen.space, common.out, overwrite=common.overwrite)
    where = options.rows(rows, "--rows", chosen.slots) or (0, chosen.slots)
    listed = [example_codes.find_pictures(paths) for paths in (having, lacking)]
    on = requests.pick_device(device or "auto")
    common.have(chosen.needs)
    models = chosen.models(on, "")
    codes = [example_codes.encode_pictures(paths, chosen, models) for paths in listed]
    vector = unsupervised.exemplars(*codes)
    origin = f"mean difference of {len(codes[0])} and {len(codes[1])} pictures"
    made = directions.of_vector(name, vector, where, models.generator, origin=origin)
    made = replace(made, licence=options.LICENCE)
    print_line(f"made {directions.save_direction(made, path, overwrite=common.overwrite)}: {origin}")
