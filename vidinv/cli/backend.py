"""`vidinv backend`: a generator of one's own with the parts it works with, made, shown and checked."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidinv.cli import options
from vidinv.errors import UsageError

if TYPE_CHECKING:
    from vidinv.backends.interface import Backend

app = typer.Typer(help="Your own generator and its parts: create, list, show, check.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME|FILE", help="A backend's name, or its YAML file.")]


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="What to call it, or a path that ends in .yaml.")],
    generator: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="Registered, of `vidinv weights import`, or that of a training.")
    ],
    encoder: Annotated[
        str, typer.Option(metavar="NAME|FILE|none", help="What inverts; none: refinement from the mean.")
    ] = "none",
    label: Annotated[
        int | None, typer.Option(metavar="N", help="The class that is shown, of a generator that has some.")
    ] = None,
    direction: Annotated[
        list[str] | None, typer.Option(metavar="NAME|FILE", help="A direction of its space; repeatable.")
    ] = None,
    alignment: Annotated[
        str, typer.Option(metavar="ffhq|center|none", help="By landmarks, a square round the box, the box stretched.")
    ] = "ffhq",
    margin: Annotated[float, typer.Option(help="Of center: the square in longer sides of the box.")] = 1.0,
    detection: Annotated[
        str | None, typer.Option(metavar="faces|boxes|full", help="What finds it; full: the whole frame.")
    ] = None,
    boxes: Annotated[Path | None, typer.Option(metavar="CSV", help="The boxes, where no run names others.")] = None,
    mask: Annotated[
        str | None, typer.Option(metavar="face|square|ellipse", help="Where an edit shows: parsed, or the crop.")
    ] = None,
    identity: Annotated[
        str | None, typer.Option(metavar="faces|NAME|none", help="Who says that it is still the same.")
    ] = None,
    parser: Annotated[str | None, typer.Option(metavar="NAME", help="Of mask face; an imported one.")] = None,
    guides: Annotated[
        str | None, typer.Option(metavar="faces|perceptual|pixels", help="What guides refinement.")
    ] = None,
    measures: Annotated[str | None, typer.Option(metavar="faces|none", help="Age and the like.")] = None,
    proxy: Annotated[Path | None, typer.Option(metavar="FILE", help="A distilled head.")] = None,
    overwrite: options.Overwrite = False,
    debug: options.Debug = False,
) -> None:
    """Put a backend together and check that its parts fit; `--backend NAME` works with it from then on.

    With --alignment ffhq the parts that look at faces are the default's; elsewhere there are none. The
    generator.safetensors of a trained autoencoder is kept in the cache under its own name; beside it lies its encoder.

    Example: vidinv backend create car --generator car --encoder car.safetensors --alignment center --detection boxes
    """
    from vidinv.backends import build as build_backend
    from vidinv.backends import registry as backends
    from vidinv.backends import spec as backend_spec
    from vidinv.backends.spec import Description
    from vidinv.generators import generator_file

    if name in backends.BACKENDS:
        raise UsageError(f"{name} is a backend of vidinv's own", remedy="choose another name")
    given: dict[str, Any] = {
        "generator": generator,
        "encoder": _path(encoder) if backend_spec.is_file(encoder) else encoder,
        "label": label,
        "directions": tuple(_path(each) if backend_spec.is_file(each) else each for each in direction or []),
        "alignment": alignment,
        "margin": margin,
        "detection": detection,
        "boxes": None if boxes is None else _path(boxes),
        "mask": mask,
        "identity": identity,
        "parser": parser,
        "guides": guides,
        "measures": measures,
        "proxy": None if proxy is None else _path(proxy),
    }
    usual: dict[str, Any] = (
        {} if alignment == "ffhq" else {**backend_spec.NEUTRAL, "detection": "boxes" if boxes else "full"}
    )
    if backend_spec.is_file(generator):
        given["generator"] = generator_file.adopt(Path(generator), replace=overwrite)
    made = Description(**{**usual, **{key: value for key, value in given.items() if value is not None}})
    backend_spec.check_description(made, f"backend {name}")
    build_backend.build_backend(name, made)
    typer.echo(f"made {backend_spec.write_description(name, made, overwrite=overwrite)}")


@app.command("list")
def list_backends(json_to: options.JsonTo = None) -> None:
    """Show every backend, vidinv's own and yours.

    Example: vidinv backend list --json -
    """
    from vidinv.backends import registry as backends
    from vidinv.backends import spec as backend_spec

    own = {name: backend_spec.read_description(name) for name in backend_spec.names()}
    if json_to is not None:
        built_in = [{"name": name, "generator": each.generator} for name, each in backends.BACKENDS.items()]
        options.write_json([*built_in, *({"name": name, **asdict(each)} for name, each in own.items())], json_to)
        return
    for name, each in backends.BACKENDS.items():
        typer.echo(f"{name:<15} {each.generator} (vidinv's own)")
    for name, description in own.items():
        typer.echo(f"{name:<15} {description.generator}, encoder {description.encoder}, {description.alignment}")


@app.command("show")
def show(name: Name, json_to: options.JsonTo = None, debug: options.Debug = False) -> None:
    """Show what a backend is put together of.

    Example: vidinv backend show car
    """
    from vidinv.backends import registry as backends

    chosen = backends.choose_backend(name)
    facts = _facts(chosen) | {"needs": list(chosen.all_needs)}
    if json_to is not None:
        options.write_json(facts, json_to)
        return
    for key, value in facts.items():
        typer.echo(f"{key:<11} {', '.join(value) or '-' if isinstance(value, list) else value}")


@app.command("check")
def check(
    name: Name,
    json_to: options.JsonTo = None,
    device: options.Device = None,
    offline: options.Offline = False,
    accept_licences: options.AcceptLicences = False,
    debug: options.Debug = False,
) -> None:
    """Load a backend, invert a grey picture and draw it: exit 0 where every part fits the generator.

    Example: vidinv backend check car
    """
    from vidinv.backends import build as build_backend
    from vidinv.backends import registry as backends
    from vidinv.jobs import request as requests
    from vidinv.weights import cache

    chosen = backends.choose_backend(name)
    cache.need(chosen.needs, offline=offline, accept=accept_licences)
    models = chosen.models(requests.pick_device(device or "auto"), "")
    wrong = build_backend.misfits(models)
    if json_to is not None:
        options.write_json({"name": name, "fits": not wrong, "wrong": wrong}, json_to)
    if wrong:
        raise UsageError(f"backend {name}: {'; '.join(wrong)}", remedy="give parts that were made for one another")
    generator = models.generator
    typer.echo(
        f"{name} fits: {generator.name}, {generator.resolution} pixels, w+ {generator.num_ws}x{generator.w_dim}, "
        f"F at layer {models.encoder.at}; drawn quickly {'by a head' if models.proxy.is_quick else 'by nothing'}"
    )


def _facts(chosen: Backend) -> dict[str, Any]:
    """What a backend's description says, and of a built-in one what is known."""
    from vidinv.backends import registry as backends
    from vidinv.backends import spec as backend_spec

    known = {"name": chosen.name, "space": chosen.space, "slots": chosen.slots}
    if chosen.name in backends.BACKENDS:
        return known | {"generator": chosen.generator}
    found = asdict(backend_spec.read_description(chosen.name))
    return known | {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


def _path(path: str | Path) -> str:
    """The whole path of a file that is named from here."""
    return str(Path(path).expanduser().absolute())
