"""`vidinv backend`: create, list, show and check backends, which combine a generator with its other parts."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidinv.cli import json_target, options
from vidinv.errors import UsageError
from vidinv.terminal import print_line

if TYPE_CHECKING:
    from vidinv.backends.interface import Backend

app = typer.Typer(help="Create, list, show and check backends for your own generators.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME|FILE", help="A backend's name, or its YAML file.")]


@app.command("create")
def create(
    name: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="Name of the backend, or a path that ends in .yaml.")
    ],
    generator: Annotated[str, typer.Option(metavar="NAME|FILE", help="A registered, imported or trained generator.")],
    encoder: Annotated[
        str,
        typer.Option(metavar="NAME|FILE|none", help="Encoder for inversion; none: refinement from the mean latent."),
    ] = "none",
    label: Annotated[
        int | None, typer.Option(metavar="N", help="Class index of a class-conditional generator.")
    ] = None,
    direction: Annotated[
        list[str] | None, typer.Option(metavar="NAME|FILE", help="A direction of its latent space; repeatable.")
    ] = None,
    alignment: Annotated[
        str,
        typer.Option(
            metavar="ffhq|center|none",
            help="ffhq: by landmarks; center: a square around the box; none: the stretched box.",
        ),
    ] = "ffhq",
    margin: Annotated[float, typer.Option(help="For center: side of the square, in longer sides of the box.")] = 1.0,
    detection: Annotated[
        str | None, typer.Option(metavar="faces|boxes|full", help="Detection: faces, given boxes, or the full frame.")
    ] = None,
    boxes: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Default boxes; a run's --boxes replaces them.")
    ] = None,
    mask: Annotated[
        str | None,
        typer.Option(metavar="face|square|ellipse", help="Blend mask: the parsed face, or a shape in the crop."),
    ] = None,
    identity: Annotated[
        str | None, typer.Option(metavar="faces|NAME|none", help="Network that measures identity similarity.")
    ] = None,
    parser: Annotated[str | None, typer.Option(metavar="NAME", help="For mask face: an imported parser.")] = None,
    guides: Annotated[
        str | None, typer.Option(metavar="faces|perceptual|pixels", help="Losses that guide refinement.")
    ] = None,
    measures: Annotated[
        str | None, typer.Option(metavar="faces|none", help="Attribute measurements (age, smile, ...).")
    ] = None,
    proxy: Annotated[Path | None, typer.Option(metavar="FILE", help="A distilled proxy head.")] = None,
    overwrite: options.Overwrite = False,
    debug: options.Debug = False,
) -> None:
    """Create a backend and check that its parts fit together; use it with `--backend NAME`.

    With --alignment ffhq the face networks default to those of the default backend; otherwise there are none. The
    generator.safetensors of a trained autoencoder is copied to the cache under its own name, with its encoder.

    Example: vidinv backend create car --generator car --encoder car.safetensors --alignment center --detection boxes
    """
    from vidinv.backends import build as build_backend
    from vidinv.backends import registry as backends
    from vidinv.backends import spec as backend_spec
    from vidinv.backends.spec import Description
    from vidinv.generators import generator_file

    if name in backends.BACKENDS:
        raise UsageError(f"{name} is a built-in backend", remedy="choose another name")
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
    print_line(f"made {backend_spec.write_description(name, made, overwrite=overwrite)}")


@app.command("list")
def list_backends(json_to: options.JsonTo = None) -> None:
    """List every backend, built-in and your own.

    Example: vidinv backend list --json -
    """
    from vidinv.backends import registry as backends
    from vidinv.backends import spec as backend_spec

    own = {name: backend_spec.read_description(name) for name in backend_spec.names()}
    if json_to is not None:
        built_in = [{"name": name, "generator": each.generator} for name, each in backends.BACKENDS.items()]
        json_target.write_json([*built_in, *({"name": name, **asdict(each)} for name, each in own.items())], json_to)
        return
    for name, each in backends.BACKENDS.items():
        print_line(f"{name:<15} {each.generator} (built-in)")
    for name, description in own.items():
        print_line(f"{name:<15} {description.generator}, encoder {description.encoder}, {description.alignment}")


@app.command("show")
def show(name: Name, json_to: options.JsonTo = None, debug: options.Debug = False) -> None:
    """Show the parts of a backend.

    Example: vidinv backend show car
    """
    from vidinv.backends import registry as backends

    chosen = backends.choose_backend(name)
    facts = _facts(chosen) | {"needs": list(chosen.all_needs)}
    if json_to is not None:
        json_target.write_json(facts, json_to)
        return
    for key, value in facts.items():
        print_line(f"{key:<11} {', '.join(value) or '-' if isinstance(value, list) else value}")


@app.command("check")
def check(
    name: Name,
    json_to: options.JsonTo = None,
    device: options.Device = None,
    offline: options.Offline = False,
    accept_licences: options.AcceptLicences = False,
    debug: options.Debug = False,
) -> None:
    """Load a backend, invert a grey picture and render it; exit 0 if every part fits the generator.

    Example: vidinv backend check car
    """
    from vidinv.backends import build as build_backend
    from vidinv.backends import registry as backends
    from vidinv.jobs import request as requests
    from vidinv.weights import cache

    chosen = backends.choose_backend(name)
    cache.need(chosen.needs, offline=offline, accept=accept_licences)
    models = chosen.models(requests.pick_device(device or "auto"), "")
    wrong = build_backend.find_mismatches(models)
    if json_to is not None:
        json_target.write_json({"name": name, "fits": not wrong, "wrong": wrong}, json_to)
    if wrong:
        raise UsageError(
            f"backend {name}: {'; '.join(wrong)}", remedy="give parts that were made for the same generator"
        )
    generator = models.generator
    print_line(
        f"{name} fits: {generator.name}, {generator.resolution} pixels, w+ {generator.num_ws}x{generator.w_dim}, "
        f"F at layer {models.encoder.at}; {'with' if models.proxy.is_quick else 'without'} a fast proxy head"
    )


def _facts(chosen: Backend) -> dict[str, Any]:
    """Return a backend's description; for a built-in one, its known parts."""
    from vidinv.backends import registry as backends
    from vidinv.backends import spec as backend_spec

    known = {"name": chosen.name, "space": chosen.space, "slots": chosen.slots}
    if chosen.name in backends.BACKENDS:
        return known | {"generator": chosen.generator}
    found = asdict(backend_spec.read_description(chosen.name))
    return known | {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


def _path(path: str | Path) -> str:
    """Return the absolute path of a file named relative to the current folder."""
    return str(Path(path).expanduser().absolute())
