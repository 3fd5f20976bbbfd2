"""Options that several commands share, so that each means and says the same everywhere; and the JSON they can write."""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from vidinv import fileio
from vidinv.errors import UsageError

if TYPE_CHECKING:
    from vidinv.report.gate import Gate

Faces = Annotated[str | None, typer.Option(metavar="all|largest|N|REF.jpg", help="Which faces.")]
Quality = Annotated[str | None, typer.Option(metavar="fast|balanced|best", help="Preset.")]
Backend = Annotated[str | None, typer.Option(metavar="NAME|FILE", help="Generator, encoder, alignment, ...")]
Boxes = Annotated[
    str | None, typer.Option(metavar="CSV", help="Where it is, x0,y0,x1,y1 (and frame), if nothing is to look for it.")
]
Encoder = Annotated[
    str | None, typer.Option(metavar="FILE", help="Your own encoder (of vidinv train); the shipped one if not given.")
]
Tune = Annotated[
    str | None,
    typer.Option(metavar="none|encoder|generator", help="What is tuned to the clip before it is inverted."),
]
Generator = Annotated[
    str | None, typer.Option(metavar="FILE", help="Of vidinv tune --what generator; as it is if not given.")
]
Device = Annotated[str | None, typer.Option(metavar="auto|cpu|cuda", help="Where the networks run.")]
Engine = Annotated[
    str | None, typer.Option(metavar="auto|eager|compile|openvino|onnx", help="What runs the networks that draw.")
]
Config = Annotated[str | None, typer.Option(metavar="FILE|NAME", help="Configuration, or a preset's name.")]
Changes = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key.")]
Offline = Annotated[bool, typer.Option("--offline", help="Never use the network.")]
AcceptLicences = Annotated[bool, typer.Option("--accept-licences", help="Accept the weights' terms.")]
Show = Annotated[
    str | None, typer.Option("--progress", metavar="bar|json|none", help="A bar on a terminal if not given.")
]
Edits = Annotated[
    list[str] | None, typer.Option("--edit", metavar="E", help="age+2, age=60, smile+1@0:03-0:07; repeatable.")
]
Tracks = Annotated[list[str] | None, typer.Option("--track", metavar="N:E", help="An edit of person N; repeatable.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what exists under that name.")]
Preview = Annotated[bool, typer.Option("--preview", help="Also write source, inversion, edit side by side.")]
NoThumbnails = Annotated[bool, typer.Option("--no-thumbnails", help="Leave pictures of faces out of the page.")]
MinIdentity = Annotated[
    float | None, typer.Option(metavar="X", help="Exit 6 where a face's similarity to the source is below X.")
]
MinIc = Annotated[
    float | None, typer.Option(metavar="X", help="Exit 6 where a person's identity consistency is below X.")
]
Blend = Annotated[str | None, typer.Option(metavar="auto|residual|replace", help="How the edit is put in.")]
JsonTo = Annotated[str | None, typer.Option("--json", metavar="FILE", help="Write JSON there; - is standard output.")]
C2pa = Annotated[
    bool, typer.Option("--c2pa", help="Sign the output (extra [c2pa]; c2pa.certificate and c2pa.key, PEM files).")
]
Watermark = Annotated[bool, typer.Option("--watermark", help="Put an invisible mark into what is edited.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Name = Annotated[str, typer.Option(metavar="NAME|FILE", help="Generator, encoder, alignment, ...")]
LICENCE = "yours, as far as the labels' and the generator's terms allow (the default parts: non-commercial)"


@dataclass(frozen=True)
class Job:
    """What every command that inverts faces takes: which, how and with what, and how it shows itself."""

    faces: Faces = None
    quality: Quality = None
    backend: Backend = None
    boxes: Boxes = None
    encoder: Encoder = None
    generator: Generator = None
    tune: Tune = None
    device: Device = None
    engine: Engine = None
    offline: Offline = False
    accept_licences: AcceptLicences = False
    show: Show = None
    config: Config = None
    changes: Changes = None
    json_to: JsonTo = None
    debug: Debug = False


@dataclass(frozen=True)
class Making:
    """What every command that makes directions takes: where they go, and where the networks come from."""

    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Default: beside the weights.")] = None
    overwrite: Overwrite = False
    backend: Name = "default"
    offline: Offline = False
    accept_licences: AcceptLicences = False
    debug: Debug = False

    def have(self, needs: tuple[str, ...]) -> None:
        """Have these parts in the cache."""
        from vidinv.weights import cache

        cache.need(needs, offline=self.offline, accept=self.accept_licences)


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """`command(..., *, common: Group)` as typer reads it: an option for every field of the dataclass Group."""
    hints = get_type_hints(command, include_extras=True)
    group = hints["common"]

    @functools.wraps(command)
    def call(**given: Any) -> None:
        common = group(**{field.name: given.pop(field.name) for field in fields(group)})
        command(**given, common=common)

    own = [
        parameter.replace(annotation=hints[name], kind=parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(command).parameters.items()
        if name != "common"
    ]
    kinds = get_type_hints(group, include_extras=True)
    shared = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=kinds[field.name]
        )
        for field in fields(group)
    ]
    call.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *shared)}
    return call


def rows(text: str | None, option: str, slots: int) -> tuple[int, int] | None:
    """`4-9`, rows of w+ with both ends, as first <= l < last; UsageError for what cannot be of `slots` rows."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,3})-(\d{1,3})", text, re.ASCII)
    if found is None or not int(found[1]) <= int(found[2]) < slots:
        raise UsageError(f"{option} {text!r} cannot be", remedy=f"write FIRST-LAST of 0-{slots - 1}, as in 4-9")
    return int(found[1]), int(found[2]) + 1


def pairs(texts: list[str] | None) -> dict[str, str]:
    """`KEY=VALUE` of a repeated option by key; UsageError for what has no `=`."""
    found = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise UsageError(f"--set {text!r} cannot be read", remedy="write KEY=VALUE")
        found[key] = value
    return found


def gate(min_identity: float | None, min_ic: float | None) -> Gate:
    """The gate of --min-identity and --min-ic; UsageError for what is no cosine."""
    from vidinv.report.gate import Gate

    for option, value in (("--min-identity", min_identity), ("--min-ic", min_ic)):
        if value is not None and not -1 <= value <= 1:
            raise UsageError(f"{option} {value:g} is no similarity", remedy="give a number from -1 to 1, such as 0.6")
    return Gate(min_identity, min_ic)


def write_json(value: Any, target: str) -> None:
    """Write `value` as JSON to a file; `-` is standard output."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    if target == "-":
        typer.echo(text)
        return
    path = Path(target).resolve()  # what a link points to is replaced, and not the link
    if path.exists() and not path.is_file():  # a pipe or a device, such as /dev/stderr
        with fileio.writing(path):
            path.write_text(text + "\n", encoding="utf-8")
        return
    fileio.write_atomically(path, text + "\n")
