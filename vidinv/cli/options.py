"""Define the options that several commands share, and write their JSON output."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from vidinv.cli import json_target
from vidinv.errors import UsageError

if TYPE_CHECKING:
    from vidinv.report.gate import Gate

Faces = Annotated[str | None, typer.Option(metavar="all|largest|N|REF.jpg", help="Faces to edit.")]
Quality = Annotated[str | None, typer.Option(metavar="fast|balanced|best", help="Preset.")]
Backend = Annotated[str | None, typer.Option(metavar="NAME|FILE", help="Backend: generator, encoder, alignment, ...")]
Boxes = Annotated[
    str | None, typer.Option(metavar="CSV", help="Given boxes x0,y0,x1,y1 (and frame) instead of detection.")
]
Encoder = Annotated[
    str | None, typer.Option(metavar="FILE", help="An encoder of vidinv train. Default: the shipped one.")
]
Tune = Annotated[
    str | None,
    typer.Option(metavar="none|encoder|generator", help="Network to tune to the clip before the inversion."),
]
Generator = Annotated[
    str | None, typer.Option(metavar="FILE", help="A generator of vidinv tune. Default: the untuned one.")
]
Device = Annotated[str | None, typer.Option(metavar="auto|cpu|cuda", help="Device of the networks.")]
Engine = Annotated[
    str | None,
    typer.Option(metavar="auto|eager|compile|openvino|onnx", help="Engine of the networks that need no gradient."),
]
Stream = Annotated[
    int | None,
    typer.Option("--stream", metavar="N", help="Video stream, as ffprobe counts. Default: the film, no thumbnail."),
]
Config = Annotated[str | None, typer.Option(metavar="FILE|NAME", help="Configuration file, or the name of a preset.")]
Changes = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set a configuration key; repeatable.")
]
Offline = Annotated[bool, typer.Option("--offline", help="Never use the network.")]
AcceptLicences = Annotated[bool, typer.Option("--accept-licences", help="Accept the weights' licence terms.")]
Show = Annotated[
    str | None,
    typer.Option("--progress", metavar="bar|json|none", help="Progress output. Default: a bar on a terminal."),
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only: no progress, summary or warnings.")]
Edits = Annotated[
    list[str] | None, typer.Option("--edit", metavar="E", help="age+2, age=60, smile+1@0:03-0:07; repeatable.")
]
Tracks = Annotated[
    list[str] | None, typer.Option("--track", metavar="N:E", help="An edit of person N, such as 1:age+2; repeatable.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")]
Force = Annotated[bool, typer.Option("--force", help="Allow strengths beyond twice the measured range.")]
Preview = Annotated[bool, typer.Option("--preview", help="Also write source, result and change side by side.")]
NoThumbnails = Annotated[bool, typer.Option("--no-thumbnails", help="Omit pictures of faces from the page.")]
MinIdentity = Annotated[
    float | None, typer.Option(metavar="X", help="Exit 6 if a face's identity similarity to the source is below X.")
]
MinIc = Annotated[float | None, typer.Option(metavar="X", help="Exit 6 if a person's identity consistency is below X.")]
Blend = Annotated[str | None, typer.Option(metavar="auto|residual|replace", help="Blend mode.")]
JsonTo = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Write JSON to FILE, replacing only JSON; - is standard output.",
        callback=json_target.parse_target,
    ),
]
C2pa = Annotated[
    bool, typer.Option("--c2pa", help="Sign the output (extra \\[c2pa]; c2pa.certificate and c2pa.key, PEM files).")
]
Watermark = Annotated[bool, typer.Option("--watermark", help="Embed an invisible watermark in the edited region.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of errors.")]
Name = Annotated[str, typer.Option(metavar="NAME|FILE", help="Generator, encoder, alignment, ...")]
LICENCE = "yours, as far as the labels' and the generator's terms allow (the default parts: non-commercial)"


@dataclass(frozen=True)
class Job:
    """Options of every command that inverts faces."""

    faces: Faces = None
    quality: Quality = None
    backend: Backend = None
    boxes: Boxes = None
    stream: Stream = None
    encoder: Encoder = None
    generator: Generator = None
    tune: Tune = None
    device: Device = None
    engine: Engine = None
    offline: Offline = False
    accept_licences: AcceptLicences = False
    show: Show = None
    quiet: Quiet = False
    config: Config = None
    changes: Changes = None
    json_to: JsonTo = None
    debug: Debug = False


@dataclass(frozen=True)
class Making:
    """Options of every command that makes directions."""

    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Output folder. Default: the weights cache.")
    ] = None
    overwrite: Overwrite = False
    backend: Name = "default"
    offline: Offline = False
    accept_licences: AcceptLicences = False
    debug: Debug = False

    def have(self, needs: tuple[str, ...]) -> None:
        """Fetch these parts into the cache."""
        from vidinv.weights import cache

        cache.need(needs, offline=self.offline, accept=self.accept_licences)


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Adapt `command(..., *, common: Group)` to typer: every field of the dataclass Group becomes an option."""
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
    """Parse `4-9`, rows of w+ with both ends, to (first, last) with first <= l < last. Raises UsageError."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,3})-(\d{1,3})", text, re.ASCII)
    if found is None or not int(found[1]) <= int(found[2]) < slots:
        raise UsageError(
            f"{option} {text!r} is not a valid range", remedy=f"write FIRST-LAST of 0-{slots - 1}, as in 4-9"
        )
    return int(found[1]), int(found[2]) + 1


def pairs(texts: list[str] | None) -> dict[str, str]:
    """Parse `KEY=VALUE` texts to a dict. Raises UsageError for a text without `=`."""
    found = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise UsageError(f"--set {text!r} is not KEY=VALUE", remedy="write KEY=VALUE")
        found[key] = value
    return found


def gate(min_identity: float | None, min_ic: float | None) -> Gate:
    """Return the gate of --min-identity and --min-ic. Raises UsageError for values outside [-1, 1]."""
    from vidinv.report.gate import Gate

    for option, value in (("--min-identity", min_identity), ("--min-ic", min_ic)):
        if value is not None and not -1 <= value <= 1:
            raise UsageError(
                f"{option} {value:g} is not a similarity", remedy="give a number from -1 to 1, such as 0.6"
            )
    return Gate(min_identity, min_ic)
