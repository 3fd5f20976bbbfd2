"""`vidinv inspect`: what a file says of how it was made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidinv.cli import options, progress

if TYPE_CHECKING:
    from vidinv.provenance.inspection import Inspection
    from vidinv.provenance.manifest import ReadManifest
    from vidinv.provenance.statement import Sidecar

NOTHING = "nothing of vidinv is found. That is no proof: metadata are easily lost, and most outputs carry no watermark"


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A video, a picture, or a folder of pictures.")],
    trust: Annotated[
        Path | None, typer.Option("--trust", metavar="PEM", help="Root certificates whose C2PA signers are trusted.")
    ] = None,
    show: options.Show = None,
    json_to: options.JsonTo = None,
    debug: options.Debug = False,
) -> None:
    """Show what a file says of how it was made: metadata, the report beside it, C2PA manifest, watermark.

    Example: vidinv inspect older.mp4
    """
    from vidinv.provenance import inspection

    with progress.show(show) as shown:
        found = inspection.inspect(file, trust, lambda frames: shown.phase("watermark", frames), shown.advance)
    if json_to is not None:
        options.write_json(found.document(), json_to)
    if json_to != "-":
        _print(found)


def _print(found: Inspection) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("where", "what it says", box=None, pad_edge=False, title=Text(found.file), title_justify="left")
    for where, words in _rows(found):
        table.add_row(where, Text(words))
    for note in found.notes:
        table.add_row("note", Text(note))
    table.add_row("in short", Text(_short(found)))
    table.columns[0].no_wrap = True
    Console().print(table)


def _rows(found: Inspection) -> list[tuple[str, str]]:
    said, mark = found.metadata, found.watermark
    rows = [("metadata", "none of vidinv's")]
    if said:
        weights = said.get("weights", "").replace(" ", ", ") or "unknown"
        edits = said.get("edits", "unknown")
        rows = [("metadata", f"vidinv {said.get('version', 'unknown')}; edits: {edits}; weights: {weights}")]
    rows.append(("report", "none beside it" if found.sidecar is None else _report(found.sidecar)))
    rows.append(("C2PA", "none found" if found.c2pa is None else _manifest(found.c2pa)))
    words = "none found"
    if mark is not None:
        words = f"{mark.identity} (version {mark.version}; {mark.score:.1f} standard deviations, noise: 7)"
    return [*rows, ("watermark", words)]


def _report(beside: Sidecar) -> str:
    if beside.problem:
        return f"{beside.path}: {beside.problem}"
    agrees = {True: "agrees", False: "does not agree", None: "is not in it"}
    edits = "unknown" if beside.edits is None else " ".join(beside.edits) or "none"
    return (
        f"{beside.path}: vidinv {beside.version or 'unknown'}; edits: {edits}; the file's name "
        f"{agrees[beside.name_agrees]}, its sha256 {agrees[beside.sha256_agrees]}"
    )


def _manifest(signed: ReadManifest) -> str:
    if signed.state == "Unread":
        return "there seems to be a manifest; it was not read"
    kinds = {"Trusted": "valid and trusted", "Valid": "valid; its signer is not among the trusted (--trust)"}
    words = f"{kinds.get(signed.state, 'INVALID')}; signed by {signed.signer or 'unknown'}; made by {signed.generator}"
    words += f"; {', '.join(signed.actions)}"
    return words if signed.edit is None else f"{words}; edits: {' '.join(signed.edit.get('edits', [])) or 'none'}"


def _short(found: Inspection) -> str:
    if not found.is_ours:
        return NOTHING
    where = {
        "its metadata": bool(found.metadata),
        "the report beside it": found.sidecar is not None and not found.sidecar.problem,
        "its C2PA manifest": found.c2pa is not None and found.c2pa.edit is not None,
        "its watermark": found.watermark is not None,
    }
    return "made by vidinv, as say " + ", ".join(name for name, is_there in where.items() if is_there)
